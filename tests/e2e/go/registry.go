package main

import (
	"fmt"
	"net/url"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/global"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/server"
)

// own are the parameters that are for this program, and not of a service.
var own = map[string]bool{
	"protocol": true, "max": true, "heartbeat": true, "version": true, "group": true, "registry": true,
	"application": true, "metadata": true,
}

// serverAt makes a server at a port, and what each of its services is told: where both register, which params["registry"]
// has by ";" as Java does, or that they do not.
func serverAt(port int, params map[string]string, speaks protocol.ServerOption) (
	*server.Server, []server.ServiceOption, error,
) {
	options := []server.ServerOption{server.WithServerProtocol(speaks, protocol.WithPort(port))}
	told := []server.ServiceOption{server.WithVersion(params["version"]), server.WithGroup(params["group"])}
	if params["registry"] == "" {
		options = append(options, server.WithServerNotRegister())
		told = append(told, server.WithNotRegister())
	} else {
		options = append(options, server.SetServerApplication(application(params)))
		for _, at := range registries(params["registry"]) {
			options = append(options, server.WithServerRegistry(at...))
		}
		for key, value := range params {
			if !own[key] {
				told = append(told, server.WithParam(key, value))
			}
		}
	}
	srv, err := server.NewServer(options...)
	return srv, told, err
}

func application(params map[string]string) *global.ApplicationConfig {
	told := global.DefaultApplicationConfig()
	told.Name = or(params["application"], "peer")
	told.MetadataType = or(params["metadata"], constant.DefaultMetadataStorageType)
	return told
}

// asking is what a client is told of the registries that it asks.
func asking(params map[string]string) []client.ClientOption {
	if params["registry"] == "" {
		return nil
	}
	options := []client.ClientOption{client.SetClientApplication(application(params))}
	for _, at := range registries(params["registry"]) {
		options = append(options, client.WithClientRegistry(at...))
	}
	return options
}

// registries are those at addresses as Java's SDK takes them.
func registries(addresses string) (found [][]registry.Option) {
	for number, address := range strings.Split(addresses, ";") {
		at, err := url.Parse(address)
		if err != nil {
			panic(err)
		}
		options := []registry.Option{registry.WithRegistry(at.Scheme), registry.WithAddress(at.Host)}
		switch at.Query().Get("register-mode") {
		case "interface":
			options = append(options, registry.WithRegisterInterface())
		case "instance":
			options = append(options, registry.WithRegisterService())
		case "all":
			options = append(options, registry.WithRegisterServiceAndInterface())
		}
		if group := at.Query().Get("group"); group != "" {
			options = append(options, registry.WithGroup(group))
		}
		if number > 0 {
			options = append(options, registry.WithID(fmt.Sprint("registry", number)))
		}
		found = append(found, options)
	}
	return found
}
