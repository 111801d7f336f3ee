package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// loading is calls by many callers, so many each or until stopped, spread over the channels; each answer is checked.
type loading struct {
	told                command
	stopped             atomic.Bool
	callers             sync.WaitGroup
	mutex               sync.Mutex
	good, wrong, failed int
	errors, answeredBy  map[string]int
}

func newLoad(told command) *loading {
	load := &loading{told: told, errors: map[string]int{}, answeredBy: map[string]int{}}
	all := channels(told.Ref)
	for caller := range told.Threads {
		load.callers.Add(1)
		go load.run(caller, all[caller%len(all)])
	}
	return load
}

func (l *loading) run(caller int, channel *grpc.ClientConn) {
	defer l.callers.Done()
	padding := bytes.Repeat([]byte("."), l.told.Size)
	for number := 0; (l.told.Calls == 0 || number < l.told.Calls) && !l.stopped.Load(); number++ {
		body := fmt.Appendf(nil, "%d/%d%s", caller, number, padding)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		var answer []byte
		err := channel.Invoke(ctx, path("ask"), &body, &answer)
		cancel()
		l.note(body, answer, err)
		time.Sleep(time.Duration(l.told.Pause) * time.Millisecond)
	}
}

func (l *loading) note(body, answer []byte, err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err != nil {
		l.failed++
		said := status.Convert(err)
		l.errors[fmt.Sprintf("%d %s", said.Code(), said.Message())]++
		return
	}
	name, rest, _ := bytes.Cut(answer, []byte("|"))
	l.answeredBy[string(name)]++
	if bytes.Equal(rest, body) {
		l.good++
	} else {
		l.wrong++
	}
}

func (l *loading) join() map[string]any {
	l.callers.Wait()
	return l.report()
}

func (l *loading) report() map[string]any {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	errors, answeredBy := map[string]int{}, map[string]int{}
	for key, value := range l.errors {
		errors[key] = value
	}
	for key, value := range l.answeredBy {
		answeredBy[key] = value
	}
	return map[string]any{
		"good": l.good, "wrong": l.wrong, "failed": l.failed, "errors": errors, "answered_by": answeredBy,
	}
}
