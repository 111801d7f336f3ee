package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	"dubbo.apache.org/dubbo-go/v3/remoting/getty"
	"dubbo.apache.org/dubbo-go/v3/server"
)

const service = "meshfast.peer.PeerService"

// Methods are those of PeerService in Java, as one named instance offers them.
type Methods struct{ name string }

// Peer is the service by Dubbo's own protocol.
type Peer struct{ Methods }

func (p *Peer) Reference() string { return service }

func (p *Peer) MethodMapper() map[string]string {
	return map[string]string{
		"Whoami": "whoami", "Echo": "echo", "Ask": "ask", "Slow": "slow", "Later": "later", "Nothing": "nothing",
		"Fail": "fail", "Checksum": "checksum", "Produce": "produce", "Attachments": "attachments",
	}
}

func (p *Methods) Whoami(context.Context) (string, error) { return p.name, nil }

func (p *Methods) Echo(_ context.Context, text string) (string, error) { return text, nil }

func (p *Methods) Ask(_ context.Context, text string) (string, error) {
	return p.name + "|" + text, nil
}

func (p *Methods) Slow(ctx context.Context, millis int32, text string) (string, error) {
	time.Sleep(time.Duration(millis) * time.Millisecond)
	return p.Ask(ctx, text)
}

func (p *Methods) Later(ctx context.Context, millis int32, text string) (string, error) {
	return p.Slow(ctx, millis, text)
}

func (p *Methods) Nothing(context.Context) (*string, error) { return nil, nil }

func (p *Methods) Fail(_ context.Context, message string) (string, error) {
	return "", errors.New(message)
}

func (p *Methods) Checksum(_ context.Context, data []byte) (int64, error) {
	return int64(crc32.ChecksumIEEE(data)), nil
}

func (p *Methods) Produce(_ context.Context, size int32) ([]byte, error) {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i % 251)
	}
	return data, nil
}

// Attachments tells how this provider sees each: a string as it is, anything else by its type.
func (p *Methods) Attachments(ctx context.Context) (map[string]string, error) {
	seen := map[string]string{}
	all, _ := ctx.Value(constant.AttachmentKey).(map[string]any)
	for key, value := range all {
		if text, ok := value.(string); ok {
			seen[key] = text
		} else {
			seen[key] = fmt.Sprintf("%T%v", value, value)
		}
	}
	return seen, nil
}

// export offers the service until SIGTERM, upon which the SDK stops as it does by default.
func export(name string, port int, params map[string]string) error {
	if params["protocol"] == "tri" {
		return exportTriple(name, port, params)
	}
	limit, err := strconv.Atoi(or(params["max"], "16777216"))
	if err != nil {
		return err
	}
	remote := getty.GetDefaultServerConfig()
	remote.HeartbeatPeriod = or(params["heartbeat"], "30000") + "ms"
	remote.GettySessionParam.MaxMsgLen = limit
	getty.SetServerConfig(*remote)
	srv, told, err := serverAt(port, params, protocol.WithDubbo())
	if err != nil {
		return err
	}
	err = srv.RegisterService(&Peer{Methods{name}}, append(told, server.WithInterface(service))...)
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
