// One process that is told what to be, as the other peers are: commands as JSON lines on stdin, answers as JSON lines on
// stdout, each with the command's id. Commands run at the same time; the end of stdin ends the process.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

type pair [2]string

type command struct {
	ID       int64             `json:"id"`
	Op       string            `json:"op"`
	Name     string            `json:"name"`
	Port     int               `json:"port"`
	Ref      string            `json:"ref"`
	URL      string            `json:"url"`
	Params   map[string]string `json:"params"`
	Method   string            `json:"method"`
	Body     []byte            `json:"body"`
	Metadata []pair            `json:"metadata"`
	Timeout  int               `json:"timeout"`
	Cancel   bool              `json:"cancel"`
	Load     string            `json:"load"`
	Threads  int               `json:"threads"`
	Calls    int               `json:"calls"`
	Count    int               `json:"count"`
	Size     int               `json:"size"`
	Pause    int               `json:"pause"`
	Grace    int               `json:"grace"`
}

type reply struct {
	ID      int64  `json:"id"`
	OK      bool   `json:"ok"`
	Value   any    `json:"value"`
	Error   string `json:"error,omitempty"`
	Message string `json:"message,omitempty"`
}

var loads sync.Map

func main() {
	encoder := json.NewEncoder(os.Stdout)
	var writing sync.Mutex
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<16), 16<<20)
	for lines.Scan() {
		var told command
		if err := json.Unmarshal(lines.Bytes(), &told); err != nil {
			panic(err)
		}
		go func() {
			said := answer(told)
			writing.Lock()
			defer writing.Unlock()
			if err := encoder.Encode(said); err != nil {
				panic(err)
			}
		}()
	}
}

func answer(told command) reply {
	value, err := execute(told)
	if err != nil {
		return reply{ID: told.ID, Error: fmt.Sprintf("%T", err), Message: err.Error()}
	}
	return reply{ID: told.ID, OK: true, Value: value}
}

func execute(told command) (any, error) {
	switch told.Op {
	case "export":
		return export(told.Name, told.Port, told.Params)
	case "seen":
		return map[string]int64{"begun": begun.Load(), "cancelled": cancelled.Load()}, nil
	case "leave":
		leave(time.Duration(told.Grace) * time.Millisecond)
		return nil, nil
	case "refer":
		return nil, refer(told.Ref, told.URL, told.Params)
	case "release":
		return nil, release(told.Ref)
	case "call":
		return call(told)
	case "stream":
		return stream(told)
	case "start":
		return nil, start(told)
	case "finish":
		return finish(told)
	case "flood":
		return newLoad(told).join(), nil
	case "load":
		loads.Store(told.Load, newLoad(told))
		return nil, nil
	case "progress":
		load, _ := loads.Load(told.Load)
		return load.(*loading).report(), nil
	case "stop":
		load, _ := loads.LoadAndDelete(told.Load)
		load.(*loading).stopped.Store(true)
		return load.(*loading).join(), nil
	}
	return nil, fmt.Errorf("no such op: %s", told.Op)
}
