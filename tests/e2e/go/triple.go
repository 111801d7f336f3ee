package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	"dubbo.apache.org/dubbo-go/v3/protocol/triple/triple_protocol"
	"dubbo.apache.org/dubbo-go/v3/server"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const textsService = "meshfast.peer.Texts"

// streams are the references to Texts, which have the names of those to PeerService.
var streams sync.Map

// Texts is Texts in Java as one named instance offers it: protobuf's own messages, in no wrapper.
type Texts struct{ name string }

// Ask is a method because the SDK takes no service without one.
func (t *Texts) Ask(_ context.Context, asked *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	return text(t.name + "|" + asked.Value), nil
}

// Called is the service by Triple, for which the SDK offers every method there is, and MethodMapper would be one.
type Called struct{ Methods }

func (c *Called) Reference() string { return service }

func text(value string) *wrapperspb.StringValue { return wrapperspb.String(value) }

func newText() any { return new(wrapperspb.StringValue) }

func asStream[T any](base any) any { return base.(T) }

var textsInfo = common.ServiceInfo{
	InterfaceName: textsService,
	ServiceType:   (*Texts)(nil),
	Methods: []common.MethodInfo{
		{
			Name: "ask", Type: constant.CallUnary, ReqInitFunc: newText,
			MethodFunc: func(ctx context.Context, args []any, handler any) (any, error) {
				answer, err := handler.(*Texts).Ask(ctx, args[0].(*wrapperspb.StringValue))
				return triple_protocol.NewResponse(answer), err
			},
		},
		{
			Name: "fail", Type: constant.CallUnary, ReqInitFunc: newText,
			MethodFunc: func(_ context.Context, args []any, _ any) (any, error) {
				return nil, errors.New(args[0].(*wrapperspb.StringValue).Value)
			},
		},
		{
			Name: "count", Type: constant.CallServerStream,
			ReqInitFunc:    func() any { return new(wrapperspb.Int32Value) },
			StreamInitFunc: asStream[*triple_protocol.ServerStream],
			MethodFunc: func(_ context.Context, args []any, handler any) (any, error) {
				to := args[1].(*triple_protocol.ServerStream)
				for i := range args[0].(*wrapperspb.Int32Value).Value {
					if err := to.Send(text(fmt.Sprintf("%s|%d", handler.(*Texts).name, i))); err != nil {
						return nil, err
					}
				}
				return nil, nil
			},
		},
		{
			Name: "gather", Type: constant.CallClientStream, StreamInitFunc: asStream[*triple_protocol.ClientStream],
			MethodFunc: func(_ context.Context, args []any, handler any) (any, error) {
				from := args[0].(*triple_protocol.ClientStream)
				items, characters := 0, 0
				for from.Receive(newText()) {
					items++
					characters += len(from.Msg().(*wrapperspb.StringValue).Value)
				}
				answer := text(fmt.Sprintf("%s|%d|%d", handler.(*Texts).name, items, characters))
				return triple_protocol.NewResponse(answer), from.Err()
			},
		},
		{
			Name: "chat", Type: constant.CallBidiStream, StreamInitFunc: asStream[*triple_protocol.BidiStream],
			MethodFunc: func(_ context.Context, args []any, handler any) (any, error) {
				with := args[0].(*triple_protocol.BidiStream)
				for {
					said := new(wrapperspb.StringValue)
					if err := with.Receive(said); errors.Is(err, io.EOF) {
						return nil, nil
					} else if err != nil {
						return nil, err
					}
					if said.Value == "fail" {
						return nil, errors.New("told to fail")
					}
					if err := with.Send(text(handler.(*Texts).name + "|" + said.Value)); err != nil {
						return nil, err
					}
				}
			},
		},
	},
}

// exportTriple offers both services at one port, until the process ends.
func exportTriple(name string, port int, params map[string]string) error {
	srv, told, err := serverAt(port, params, protocol.WithTriple())
	if err != nil {
		return err
	}
	err = errors.Join(srv.RegisterService(&Called{Methods{name}}, append(told, server.WithInterface(service),
		server.WithSerialization(constant.Hessian2Serialization))...),
		srv.Register(&Texts{name}, &textsInfo, append(told, server.WithInterface(textsService))...))
	if err != nil {
		return err
	}
	go func() {
		if err := srv.Serve(); err != nil {
			panic(err)
		}
	}()
	return nil
}

// referTriple makes references to both services.
func referTriple(ref, url string, params map[string]string, timeout time.Duration) error {
	// A client each: what one reference is told, all of its client's have.
	dial := func(to string, info *client.ClientInfo, more ...client.ReferenceOption) (*client.Connection, error) {
		cli, err := client.NewClient(client.WithClientProtocolTriple(), client.WithClientRequestTimeout(timeout))
		if err != nil {
			return nil, err
		}
		options := append(more, client.WithURL(url), client.WithCluster("failfast"), client.WithRequestTimeout(timeout),
			client.WithVersion(params["version"]), client.WithGroup(params["group"]))
		if info != nil {
			return cli.DialWithInfo(to, info, options...)
		}
		return cli.Dial(to, options...)
	}
	plain, err := dial(service, nil,
		client.WithIDL(constant.NONIDL), client.WithSerialization(constant.Hessian2Serialization))
	if err != nil {
		return err
	}
	typed, err := dial(textsService, &client.ClientInfo{
		InterfaceName: textsService, MethodNames: []string{"ask", "fail", "count", "gather", "chat"},
		ConnectionInjectFunc: func(any, *client.Connection) {},
	})
	if err != nil {
		return err
	}
	references.Store(ref, &reference{plain, client.WithCallRequestTimeout(timeout)})
	streams.Store(ref, &reference{typed, client.WithCallRequestTimeout(timeout)})
	return nil
}

// talk is one call of Texts: what came, in order. items texts of as many characters each are asked or to be told.
func talk(told command) (any, error) {
	known, ok := streams.Load(told.Ref)
	if !ok {
		return nil, fmt.Errorf("no such reference: %s", told.Ref)
	}
	to, came := known.(*reference), []string{}
	ctx := context.WithValue(context.Background(), constant.AttachmentKey, told.Attachments)
	padding := strings.Repeat("x", int(told.Size))
	switch told.Method {
	case "ask", "fail":
		got := new(wrapperspb.StringValue)
		err := to.CallUnary(ctx, []any{text(padding)}, got, told.Method, to.timeout)
		return []string{got.Value}, err
	case "count":
		raw, err := to.CallServerStream(ctx, wrapperspb.Int32(told.Items), told.Method, to.timeout)
		if err != nil {
			return nil, err
		}
		from := raw.(*triple_protocol.ServerStreamForClient)
		for from.Receive(newText()) {
			came = append(came, from.Msg().(*wrapperspb.StringValue).Value)
		}
		return came, errors.Join(from.Err(), from.Close())
	case "gather":
		raw, err := to.CallClientStream(ctx, told.Method, to.timeout)
		if err != nil {
			return nil, err
		}
		with := raw.(*triple_protocol.ClientStreamForClient)
		for range told.Items {
			if err := with.Send(text(padding)); err != nil {
				return nil, err
			}
		}
		got := new(wrapperspb.StringValue)
		err = with.CloseAndReceive(triple_protocol.NewResponse(got))
		return []string{got.Value}, err
	case "chat":
		raw, err := to.CallBidiStream(ctx, told.Method, to.timeout)
		if err != nil {
			return nil, err
		}
		with := raw.(*triple_protocol.BidiStreamForClient)
		for i := range told.Items {
			got := new(wrapperspb.StringValue)
			said := fmt.Sprintf("%d-%s", i, padding)
			if told.Then == "fail" && i == told.Items-1 {
				said = "fail"
			}
			if err := with.Send(text(said)); err != nil {
				return nil, err
			}
			if err := with.Receive(got); err != nil {
				return nil, err
			}
			if name, rest, _ := strings.Cut(got.Value, "|"); rest == said {
				came = append(came, name)
			} else {
				return nil, fmt.Errorf("wrong: %s", got.Value)
			}
		}
		return came, errors.Join(with.CloseRequest(), with.CloseResponse())
	}
	return nil, fmt.Errorf("no such method: %s", told.Method)
}
