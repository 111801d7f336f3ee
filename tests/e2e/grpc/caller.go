package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

var references, running sync.Map

// refer makes a reference of as many channels as there are connections; several addresses are taken by turns.
func refer(ref, url string, params map[string]string) error {
	connections, err := number(params, "connections", 1)
	if err != nil {
		return err
	}
	silence, err := number(params, "keepalive", 0)
	if err != nil {
		return err
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(longest), grpc.MaxCallSendMsgSize(longest)),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
	}
	if params["retries"] == "0" {
		options = append(options, grpc.WithDisableRetry())
	}
	if silence > 0 {
		options = append(options, grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: time.Duration(silence) * time.Millisecond, Timeout: 10 * time.Second, PermitWithoutStream: true,
		}))
	}
	var state resolver.State
	for address := range strings.SplitSeq(url, ",") {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: address})
	}
	var made []*grpc.ClientConn
	for range connections {
		builder := manual.NewBuilderWithScheme("peers")
		builder.InitialState(state)
		channel, err := grpc.NewClient("peers:///"+strings.SplitN(url, ",", 2)[0],
			append(options, grpc.WithResolvers(builder))...)
		if err != nil {
			return err
		}
		made = append(made, channel)
	}
	references.Store(ref, made)
	return nil
}

func release(ref string) error {
	all, found := references.LoadAndDelete(ref)
	if !found {
		return nil
	}
	for _, channel := range all.([]*grpc.ClientConn) {
		if err := channel.Close(); err != nil {
			return err
		}
	}
	return nil
}

func channels(ref string) []*grpc.ClientConn {
	all, _ := references.Load(ref)
	return all.([]*grpc.ClientConn)
}

func path(method string) string {
	if strings.HasPrefix(method, "/") {
		return method
	}
	return "/" + service + "/" + method
}

func within(ctx context.Context, millis int) (context.Context, context.CancelFunc) {
	if millis == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(millis)*time.Millisecond)
}

// ended tells how a call ended.
func ended(err error, began time.Time) (map[string]any, error) {
	said := status.Convert(err)
	details, failed := []byte{}, error(nil)
	if len(said.Proto().GetDetails()) > 0 {
		details, failed = proto.MarshalOptions{Deterministic: true}.Marshal(said.Proto())
	}
	return map[string]any{
		"code": said.Code(), "message": said.Message(), "details": details, "millis": time.Since(began).Milliseconds(),
	}, failed
}

func call(told command) (any, error) {
	began := time.Now()
	metadataOut, err := toMetadata(told.Metadata)
	if err != nil {
		return nil, err
	}
	ctx, cancel := within(metadata.NewOutgoingContext(context.Background(), metadataOut), told.Timeout)
	defer cancel()
	var initial, trailing metadata.MD
	body := []byte{}
	err = channels(told.Ref)[0].Invoke(ctx, path(told.Method), &told.Body, &body, grpc.Header(&initial), grpc.Trailer(&trailing))
	said, failed := ended(err, began)
	if failed != nil {
		return nil, failed
	}
	said["body"], said["initial"], said["trailing"] = body, fromMetadata(initial), fromMetadata(trailing)
	return said, nil
}

var both = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// stream makes one streaming call of count messages, each looked at: collect, produce or chat.
func stream(told command) (any, error) {
	began := time.Now()
	ctx, cancel := within(context.Background(), told.Timeout)
	defer cancel()
	going, err := channels(told.Ref)[0].NewStream(ctx, both, path(told.Method))
	if err != nil {
		return ended(err, began)
	}
	made := newPattern(told.Size)
	sent := make(chan error, 1)
	go func() { sent <- send(going, told, made) }()
	got, wrong, answer := 0, 0, ""
	for {
		var body []byte
		if err = going.RecvMsg(&body); err != nil {
			break
		}
		if told.Method == "collect" {
			answer = string(body)
			continue
		}
		if string(body) != string(made.message(got)) {
			wrong++
		}
		got++
	}
	if err == io.EOF {
		err = <-sent
	}
	said, failed := ended(err, began)
	said["got"], said["wrong"], said["answer"] = got, wrong, answer
	return said, failed
}

func send(going grpc.ClientStream, told command, made pattern) error {
	if told.Method == "produce" {
		asked, err := json.Marshal(map[string]int{"count": told.Count, "size": told.Size, "pause": told.Pause})
		if err == nil {
			err = going.SendMsg(&asked)
		}
		if err != nil {
			return err
		}
		return going.CloseSend()
	}
	for i := range told.Count {
		body := made.message(i)
		if err := going.SendMsg(&body); err != nil {
			return err
		}
	}
	return going.CloseSend()
}

type waiting struct {
	cancel context.CancelFunc
	ended  chan error
}

// start begins a call that ends only when it is told to; back when its first message, if it is to have one, is here.
func start(told command) error {
	ctx, cancel := within(context.Background(), told.Timeout)
	going, err := channels(told.Ref)[0].NewStream(ctx, both, path(told.Method))
	if err != nil {
		cancel()
		return err
	}
	var body []byte
	if err := going.SendMsg(&body); err != nil {
		cancel()
		return err
	}
	if err := going.CloseSend(); err != nil {
		cancel()
		return err
	}
	if told.Method == "hang" {
		if err := going.RecvMsg(&body); err != nil {
			cancel()
			return err
		}
	}
	one := waiting{cancel, make(chan error, 1)}
	go func() {
		var more []byte
		one.ended <- going.RecvMsg(&more)
	}()
	running.Store(told.Name, one)
	return nil
}

// finish tells how a call that was begun ends; cancelled first if that is asked.
func finish(told command) (any, error) {
	began := time.Now()
	kept, found := running.LoadAndDelete(told.Name)
	if !found {
		return nil, fmt.Errorf("no call %s", told.Name)
	}
	one := kept.(waiting)
	if told.Cancel {
		one.cancel()
	}
	err := <-one.ended
	one.cancel()
	if err == io.EOF {
		return map[string]any{"code": codes.OK, "millis": time.Since(began).Milliseconds()}, nil
	}
	return ended(err, began)
}
