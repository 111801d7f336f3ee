package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc/metadata"
)

const (
	service = "meshfast.peer.Echo"
	longest = 64 << 20
)

// raw passes bodies as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func (raw) Name() string { return "proto" }

// pattern gives the messages of a stream: four bytes of their number, then bytes that depend on it.
type pattern struct {
	wheel []byte
	rest  int
}

func newPattern(size int) pattern {
	rest := max(size-4, 0)
	wheel := make([]byte, rest+251)
	for i := range wheel {
		wheel[i] = byte(i % 251)
	}
	return pattern{wheel, rest}
}

func (p pattern) message(number int) []byte {
	begin := number % 251
	return append(binary.BigEndian.AppendUint32(nil, uint32(number)), p.wheel[begin:begin+p.rest]...)
}

func toMetadata(pairs []pair) (metadata.MD, error) {
	made := metadata.MD{}
	for _, one := range pairs {
		value := one[1]
		if strings.HasSuffix(one[0], "-bin") {
			plain, err := base64.StdEncoding.DecodeString(value)
			if err != nil {
				return nil, err
			}
			value = string(plain)
		}
		made.Append(one[0], value)
	}
	return made, nil
}

func fromMetadata(all metadata.MD) []pair {
	made := []pair{}
	for key, values := range all {
		for _, value := range values {
			if strings.HasSuffix(key, "-bin") {
				value = base64.StdEncoding.EncodeToString([]byte(value))
			}
			made = append(made, pair{key, value})
		}
	}
	return made
}

func number(params map[string]string, key string, otherwise int) (int, error) {
	text, there := params[key]
	if !there {
		return otherwise, nil
	}
	value, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", key, err)
	}
	return value, nil
}
