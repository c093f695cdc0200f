// What do GitOps tools make of an object? `gitops kstatus` and `gitops health SCRIPT` read objects from standard input, one JSON
// document after the other, and print a line {"status", "message"} for each: the first with the library that Flux, Helm and kpt
// use, the second with the Lua that Argo CD uses, and as little in it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type answer struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gitops:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	var judge func(*unstructured.Unstructured) (answer, error)
	switch {
	case len(arguments) == 1 && arguments[0] == "kstatus":
		judge = kstatus
	case len(arguments) == 2 && arguments[0] == "health":
		script, err := os.ReadFile(arguments[1])
		if err != nil {
			return err
		}
		judge = func(object *unstructured.Unstructured) (answer, error) { return health(string(script), object) }
	default:
		return errors.New("usage: gitops kstatus | health SCRIPT")
	}
	decoder, encoder := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		// Whole numbers stay whole, as in the tools.
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(raw); err != nil {
			return err
		}
		said, err := judge(object)
		if err != nil {
			return err
		}
		if err := encoder.Encode(said); err != nil {
			return err
		}
	}
}

func kstatus(object *unstructured.Unstructured) (answer, error) {
	result, err := status.Compute(object)
	if err != nil {
		return answer{}, err
	}
	return answer{string(result.Status), result.Message}, nil
}

// The libraries that Argo CD opens for a health script; there is no `string` and no `os` among them that we would use.
func health(script string, object *unstructured.Unstructured) (answer, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage,
		lua.BaseLibName: lua.OpenBase,
		lua.TabLibName:  lua.OpenTable,
	} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return answer{}, err
		}
	}
	patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	state.SetContext(patience)
	state.SetGlobal("obj", value(state, object.Object))
	if err := state.DoString(script); err != nil {
		return answer{}, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return answer{}, fmt.Errorf("the script returned %s and not a table", state.Get(-1).Type())
	}
	said := answer{lua.LVAsString(table.RawGetString("status")), lua.LVAsString(table.RawGetString("message"))}
	switch said.Status {
	case "Healthy", "Progressing", "Degraded", "Suspended":
		return said, nil
	}
	return answer{}, fmt.Errorf("Argo CD knows no status %q", said.Status)
}

func value(state *lua.LState, of any) lua.LValue {
	switch it := of.(type) {
	case bool:
		return lua.LBool(it)
	case string:
		return lua.LString(it)
	case int64:
		return lua.LNumber(it)
	case float64:
		return lua.LNumber(it)
	case []any:
		table := state.CreateTable(len(it), 0)
		for _, item := range it {
			table.Append(value(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(it))
		for key, item := range it {
			table.RawSetString(key, value(state, item))
		}
		return table
	}
	return lua.LNil
}
