// mosn: MOSN with nothing but what relays Dubbo: its network, its proxy filter, its router and its Dubbo codec.
//
// mosn CONFIG.json
package main

import (
	"flag"

	"github.com/urfave/cli"
	"mosn.io/api"
	_ "mosn.io/mosn/pkg/filter/network/connectionmanager"
	_ "mosn.io/mosn/pkg/filter/network/proxy"
	"mosn.io/mosn/pkg/mosn"
	_ "mosn.io/mosn/pkg/network"
	"mosn.io/mosn/pkg/protocol/xprotocol"
	"mosn.io/mosn/pkg/protocol/xprotocol/dubbo"
	_ "mosn.io/mosn/pkg/router"
	"mosn.io/mosn/pkg/stagemanager"
	stream "mosn.io/mosn/pkg/stream/xprotocol"
)

func main() {
	flag.Parse()
	stages := stagemanager.InitStageManager(&cli.Context{}, flag.Arg(0), mosn.NewMosn())
	stages.AppendParamsParsedStage(func(*cli.Context) {
		xprotocol.RegisterXProtocolAction(stream.NewConnPool, stream.NewStreamFactory, func(api.XProtocolCodec) {})
		if err := xprotocol.RegisterXProtocolCodec(&dubbo.XCodec{}); err != nil {
			panic(err)
		}
	})
	stages.AppendInitStage(mosn.DefaultInitStage)
	stages.AppendPreStartStage(mosn.DefaultPreStartStage)
	stages.AppendStartStage(mosn.DefaultStartStage)
	stages.RunAll()
}
