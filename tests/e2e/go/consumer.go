package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/filter"
	"dubbo.apache.org/dubbo-go/v3/protocol/base"
	"dubbo.apache.org/dubbo-go/v3/protocol/result"
	"dubbo.apache.org/dubbo-go/v3/remoting/getty"
)

var references sync.Map

// reference is a service at its addresses. A call needs the time it has of its own: without, the SDK writes timeout=0
// into the request and waits 3 s, whatever its client was told.
type reference struct {
	*client.Connection
	timeout client.CallOption
}

type answered struct{}

// watch keeps the attachments that came back, which the SDK's calls do not give.
type watch struct{}

func (watch) Invoke(ctx context.Context, invoker base.Invoker, invocation base.Invocation) result.Result {
	return invoker.Invoke(ctx, invocation)
}

func (watch) OnResponse(ctx context.Context, got result.Result, _ base.Invoker, _ base.Invocation) result.Result {
	if to, ok := ctx.Value(answered{}).(map[string]string); ok {
		for key, value := range got.Attachments() {
			to[key] = fmt.Sprint(value)
		}
	}
	return got
}

func init() {
	extension.SetFilter("watch", func() filter.Filter { return watch{} })
}

// refer makes a reference to the addresses of url ("dubbo://host:port", by ";").
func refer(ref, url string, params map[string]string) error {
	timeout, err := time.ParseDuration(or(params["timeout"], "10000") + "ms")
	if err != nil {
		return err
	}
	if strings.HasPrefix(url, "tri://") {
		return referTriple(ref, url, params, timeout)
	}
	remote := getty.GetDefaultClientConfig()
	remote.ConnectionNum, err = strconv.Atoi(or(params["connections"], "1")) // the SDK's own default is 16
	if err != nil {
		return err
	}
	remote.HeartbeatPeriod = or(params["heartbeat"], "30000") + "ms"
	remote.GettySessionParam.MaxMsgLen = 16 << 20
	getty.SetClientConf(*remote)
	cli, err := client.NewClient(append(asking(params), client.WithClientProtocolDubbo(),
		client.WithClientRequestTimeout(timeout))...)
	if err != nil {
		return err
	}
	options := []client.ReferenceOption{
		client.WithCluster(or(params["cluster"], "failfast")), client.WithFilter("watch"),
		client.WithSerialization(constant.Hessian2Serialization), client.WithRequestTimeout(timeout),
	}
	if url != "" {
		options = append(options, client.WithURL(url))
	}
	if params["cluster"] == "failover" {
		options = append(options, client.WithRetries(2))
	}
	connection, err := cli.Dial(service, options...)
	if err != nil {
		return err
	}
	references.Store(ref, &reference{connection, client.WithCallRequestTimeout(timeout)})
	return nil
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// kinds are the methods that can be called by name: what each gives, and what its numbers are.
var kinds = map[string]reflect.Type{
	"whoami": reflect.TypeFor[string](), "echo": reflect.TypeFor[string](), "ask": reflect.TypeFor[string](),
	"slow": reflect.TypeFor[string](), "later": reflect.TypeFor[string](), "nothing": reflect.TypeFor[string](),
	"fail": reflect.TypeFor[string](), "failChecked": reflect.TypeFor[string](),
	"attachments": reflect.TypeFor[map[any]any](),
}

func call(ref, method string, args []any, attachments map[string]any) (any, error) {
	kind, ok := kinds[method]
	if !ok {
		return nil, fmt.Errorf("no such method: %s", method)
	}
	for i, arg := range args {
		if number, ok := arg.(float64); ok {
			args[i] = int32(number)
		}
	}
	for key, value := range attachments {
		if list, ok := value.([]any); ok {
			texts := make([]string, len(list))
			for i, text := range list {
				texts[i] = text.(string)
			}
			attachments[key] = texts
		}
	}
	back := map[string]string{}
	ctx := context.WithValue(context.Background(), answered{}, back)
	ctx = context.WithValue(ctx, constant.AttachmentKey, attachments)
	value := reflect.New(kind)
	if err := on(ctx, ref, args, value.Interface(), method); err != nil {
		return nil, err
	}
	return map[string]any{"value": plain(value.Elem().Interface()), "attachments": back}, nil
}

// plain is a value as JSON can tell it.
func plain(value any) any {
	if entries, ok := value.(map[any]any); ok {
		texts := map[string]any{}
		for key, entry := range entries {
			texts[fmt.Sprint(key)] = entry
		}
		return texts
	}
	return value
}

// on makes one call of a reference.
func on(ctx context.Context, ref string, args []any, value any, method string) error {
	known, ok := references.Load(ref)
	if !ok {
		return fmt.Errorf("no such reference: %s", ref)
	}
	to := known.(*reference)
	return to.CallUnary(ctx, args, value, method, to.timeout)
}

func ask[T any](ref, method string, args ...any) (value T, err error) {
	err = on(context.Background(), ref, args, &value, method)
	return value, err
}

func checksum(ref string, size int32) (any, error) {
	data, _ := (&Peer{}).Produce(context.Background(), size)
	sum, err := ask[int64](ref, "checksum", data)
	if err == nil && sum != int64(crc32.ChecksumIEEE(data)) {
		return "different", nil
	}
	return "same", err
}
