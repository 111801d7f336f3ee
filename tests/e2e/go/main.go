// One process that is told what to be, as the Java peer's Driver: commands as JSON lines on stdin, answers as JSON lines
// on stdout, each with the command's id. Commands run at the same time; the end of stdin ends the process.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"syscall"

	getty "github.com/apache/dubbo-getty"
	"github.com/dubbogo/gost/log/logger"
)

type command struct {
	ID          int64             `json:"id"`
	Op          string            `json:"op"`
	Name        string            `json:"name"`
	Port        int               `json:"port"`
	Ref         string            `json:"ref"`
	URL         string            `json:"url"`
	Params      map[string]string `json:"params"`
	Method      string            `json:"method"`
	Args        []any             `json:"args"`
	Attachments map[string]any    `json:"attachments"`
	Load        string            `json:"load"`
	Threads     int               `json:"threads"`
	Calls       int               `json:"calls"`
	Pause       int               `json:"pause"`
	Millis      int32             `json:"millis"`
	Size        int32             `json:"size"`
	Items       int32             `json:"items"`
	Then        string            `json:"then"`
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
	out := answers()
	logger.SetLoggerLevel("info")
	if err := getty.SetLoggerLevel(getty.LoggerLevelError); err != nil { // at its usual level it tells of each frame
		panic(err)
	}
	encoder := json.NewEncoder(out)
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
	os.Exit(0) // not by return: the SDK has a shutdown of its own, which takes seconds
}

// answers gives stdout, and the SDK, which logs there, stderr in its place.
func answers() *os.File {
	kept, err := syscall.Dup(1)
	if err == nil {
		err = syscall.Dup3(2, 1, 0)
	}
	if err != nil {
		panic(err)
	}
	syscall.CloseOnExec(kept)
	return os.NewFile(uintptr(kept), "answers")
}

func answer(told command) (said reply) {
	said.ID = told.ID
	defer func() {
		if broken := recover(); broken != nil {
			said = reply{ID: told.ID, Error: "panic", Message: fmt.Sprint(broken)}
		}
	}()
	value, err := execute(told)
	if err != nil {
		return reply{ID: told.ID, Error: fmt.Sprintf("%T", err), Message: err.Error()}
	}
	return reply{ID: told.ID, OK: true, Value: value}
}

func execute(told command) (any, error) {
	switch told.Op {
	case "export":
		return nil, export(told.Name, told.Port, told.Params)
	case "refer":
		return nil, refer(told.Ref, told.URL, told.Params)
	case "release":
		references.Delete(told.Ref)
		streams.Delete(told.Ref)
		return nil, nil
	case "call":
		return call(told.Ref, told.Method, told.Args, told.Attachments)
	case "talk":
		return talk(told)
	case "checksum":
		return checksum(told.Ref, told.Size)
	case "produce":
		data, err := ask[[]byte](told.Ref, "produce", told.Size)
		return len(data), err
	case "flood":
		return newLoad(told).start().join(), nil
	case "load":
		loads.Store(told.Load, newLoad(told).start())
		return nil, nil
	case "progress":
		load, _ := loads.Load(told.Load)
		return load.(*loading).report(), nil
	case "stop":
		load, _ := loads.LoadAndDelete(told.Load)
		return load.(*loading).stop(), nil
	}
	return nil, fmt.Errorf("no such op: %s", told.Op)
}
