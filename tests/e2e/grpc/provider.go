package main

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// What happened to the calls that wait.
var begun, cancelled atomic.Int64

var server *grpc.Server

type peer struct{ name string }

// handle is one call of whatever method: all are streams here, and the method says of which kind.
func (p peer) handle(_ any, stream grpc.ServerStream) error {
	full, _ := grpc.MethodFromServerStream(stream)
	method, found := map[string]func(peer, grpc.ServerStream) error{
		"ask": peer.ask, "slow": peer.slow, "attempt": peer.attempt, "fail": peer.fail, "told": peer.told,
		"wait": peer.wait, "hang": peer.hang, "collect": peer.collect, "produce": peer.produce, "chat": peer.chat,
	}[full[len("/"+service+"/"):]]
	if !found {
		return status.Error(codes.Unimplemented, full)
	}
	return method(p, stream)
}

func take(stream grpc.ServerStream) (body []byte, err error) {
	err = stream.RecvMsg(&body)
	return
}

func give(stream grpc.ServerStream, body []byte) error { return stream.SendMsg(&body) }

func (p peer) ask(stream grpc.ServerStream) error {
	body, err := take(stream)
	if err != nil {
		return err
	}
	return give(stream, append([]byte(p.name+"|"), body...))
}

func (p peer) slow(stream grpc.ServerStream) error {
	body, err := take(stream)
	if err != nil {
		return err
	}
	millis, err := strconv.Atoi(string(body))
	if err != nil {
		return err
	}
	begun.Add(1)
	time.Sleep(time.Duration(millis) * time.Millisecond)
	return give(stream, append([]byte(p.name+"|"), body...))
}

// attempt counts as begun; the instance that is named waits, and fails where a code is told.
func (p peer) attempt(stream grpc.ServerStream) error {
	body, err := take(stream)
	if err != nil {
		return err
	}
	var asked struct {
		At, Message string
		Code        uint32
		Millis      int
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return err
	}
	begun.Add(1)
	if asked.At == p.name {
		time.Sleep(time.Duration(asked.Millis) * time.Millisecond)
		if asked.Code != 0 {
			return status.Error(codes.Code(asked.Code), asked.Message)
		}
	}
	return give(stream, append([]byte(p.name+"|"), body...))
}

// fail ends as the body asks. The SDK makes the details' header from what they say.
func (p peer) fail(stream grpc.ServerStream) error {
	body, err := take(stream)
	if err != nil {
		return err
	}
	var asked struct {
		Code    int32
		Message string
		Details []byte
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return err
	}
	said := spb.Status{}
	if err := proto.Unmarshal(asked.Details, &said); err != nil {
		return err
	}
	said.Code, said.Message = asked.Code, asked.Message
	return status.FromProto(&said).Err()
}

// told tells what metadata and deadline came, and sends back metadata that the body asks for.
func (p peer) told(stream grpc.ServerStream) error {
	body, err := take(stream)
	if err != nil {
		return err
	}
	var asked struct{ Initial, Trailing []pair }
	if len(body) > 0 {
		if err := json.Unmarshal(body, &asked); err != nil {
			return err
		}
	}
	initial, err := toMetadata(asked.Initial)
	if err != nil {
		return err
	}
	trailing, err := toMetadata(asked.Trailing)
	if err != nil {
		return err
	}
	if err := stream.SendHeader(initial); err != nil {
		return err
	}
	stream.SetTrailer(trailing)
	came, _ := metadata.FromIncomingContext(stream.Context())
	for _, key := range []string{":authority", "content-type", "user-agent"} {
		delete(came, key)
	}
	answer := map[string]any{"metadata": fromMetadata(came), "left": nil}
	if deadline, there := stream.Context().Deadline(); there {
		answer["left"] = float64(time.Until(deadline)) / float64(time.Millisecond)
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return give(stream, text)
}

func (p peer) wait(stream grpc.ServerStream) error {
	begun.Add(1)
	<-stream.Context().Done()
	cancelled.Add(1)
	return status.FromContextError(stream.Context().Err()).Err()
}

func (p peer) hang(stream grpc.ServerStream) error {
	if err := give(stream, []byte(p.name)); err != nil {
		return err
	}
	return p.wait(stream)
}

func (p peer) collect(stream grpc.ServerStream) error {
	count, total, check := 0, 0, uint32(0)
	for {
		body, err := take(stream)
		if err == io.EOF {
			return give(stream, fmt.Appendf(nil, "%d %d %d", count, total, check))
		}
		if err != nil {
			return err
		}
		count, total, check = count+1, total+len(body), crc32.Update(check, crc32.IEEETable, body)
	}
}

func (p peer) produce(stream grpc.ServerStream) error {
	body, err := take(stream)
	if err != nil {
		return err
	}
	var asked struct{ Count, Size, Pause int }
	if err := json.Unmarshal(body, &asked); err != nil {
		return err
	}
	made := newPattern(asked.Size)
	for i := range asked.Count {
		if err := give(stream, made.message(i)); err != nil {
			return err
		}
		time.Sleep(time.Duration(asked.Pause) * time.Millisecond)
	}
	return nil
}

func (p peer) chat(stream grpc.ServerStream) error {
	for {
		body, err := take(stream)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := give(stream, body); err != nil {
			return err
		}
	}
}

// export offers the service as instance name; its port.
func export(name string, port int, params map[string]string) (int, error) {
	age, err := number(params, "age", 0)
	if err != nil {
		return 0, err
	}
	silence, err := number(params, "keepalive", 7_200_000)
	if err != nil {
		return 0, err
	}
	streams, err := number(params, "streams", 1<<31-1)
	if err != nil {
		return 0, err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return 0, err
	}
	server = grpc.NewServer(
		grpc.ForceServerCodec(raw{}), grpc.MaxRecvMsgSize(longest), grpc.MaxSendMsgSize(longest),
		grpc.UnknownServiceHandler(peer{name}.handle), grpc.MaxConcurrentStreams(uint32(streams)),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: time.Duration(age) * time.Millisecond, MaxConnectionAgeGrace: 30 * time.Second,
			Time: time.Duration(silence) * time.Millisecond, Timeout: 10 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: 50 * time.Millisecond, PermitWithoutStream: true,
		}),
	)
	go func() {
		if err := server.Serve(listener); err != nil {
			panic(err)
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// leave stops as the SDK does: what runs may end within the time.
func leave(within time.Duration) {
	late := time.AfterFunc(within, server.Stop)
	server.GracefulStop()
	late.Stop()
}
