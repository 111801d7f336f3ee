package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
)

// loading is many goroutines asking; every answer is compared with its question.
type loading struct {
	told                command
	padding             string
	ended               atomic.Bool
	good, wrong, failed atomic.Int64
	marked              atomic.Int64 // answers that say that their provider closes
	lock                sync.Mutex
	errors, answeredBy  map[string]int
	failureMillis       []float64
	done                sync.WaitGroup
}

func newLoad(told command) *loading {
	return &loading{
		told: told, padding: strings.Repeat("x", int(told.Size)), errors: map[string]int{}, answeredBy: map[string]int{},
	}
}

func (l *loading) start() *loading {
	for thread := range l.told.Threads {
		l.done.Go(func() {
			for i := 0; !l.ended.Load() && (l.told.Calls == 0 || i < l.told.Calls); i++ {
				l.ask(fmt.Sprintf("%d-%d-%s", thread, i, l.padding))
				time.Sleep(time.Duration(l.told.Pause) * time.Millisecond)
			}
		})
	}
	return l
}

func (l *loading) ask(question string) {
	from := time.Now()
	var answer string
	back := map[string]string{}
	ctx := context.WithValue(context.Background(), answered{}, back)
	method, args := "ask", []any{question}
	if l.told.Millis > 0 {
		method, args = "later", []any{l.told.Millis, question}
	}
	err := on(ctx, l.told.Ref, args, &answer, method)
	if back[constant.GracefulShutdownClosingKey] == "true" {
		l.marked.Add(1)
	}
	who, rest, _ := strings.Cut(answer, "|")
	l.lock.Lock()
	defer l.lock.Unlock()
	switch {
	case err != nil:
		l.failed.Add(1)
		l.errors[err.Error()]++
		l.failureMillis = append(l.failureMillis, float64(time.Since(from).Microseconds())/1e3)
	case rest != question:
		l.wrong.Add(1)
		l.errors["wrong: "+answer]++
	default:
		l.good.Add(1)
		l.answeredBy[who]++
	}
}

func (l *loading) stop() map[string]any {
	l.ended.Store(true)
	return l.join()
}

func (l *loading) join() map[string]any {
	l.done.Wait()
	return l.report()
}

func (l *loading) report() map[string]any {
	l.lock.Lock()
	defer l.lock.Unlock()
	copied := func(from map[string]int) map[string]int {
		to := map[string]int{}
		for key, count := range from {
			to[key] = count
		}
		return to
	}
	return map[string]any{
		"good": l.good.Load(), "wrong": l.wrong.Load(), "failed": l.failed.Load(), "errors": copied(l.errors),
		"marked":      l.marked.Load(),
		"answered_by": copied(l.answeredBy), "failure_millis": append([]float64{}, l.failureMillis...),
	}
}
