package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/cel"
)

type celCase struct {
	Name                     string                                                    `json:"name"`
	Expression               string                                                    `json:"expression"`
	Driver                   string                                                    `json:"driver"`
	Attributes               map[resourceapi.QualifiedName]resourceapi.DeviceAttribute `json:"attributes"`
	Capacity                 map[resourceapi.QualifiedName]resourceapi.DeviceCapacity  `json:"capacity"`
	AllowMultipleAllocations *bool                                                     `json:"allowMultipleAllocations"`
	Features                 []string                                                  `json:"features"` // as in allocation cases; absent = consumable capacity only
}

// celAnswer has either Result or Error; Cost is the run-time cost so far.
type celAnswer struct {
	Name    string  `json:"name,omitempty"`
	Result  *bool   `json:"result,omitempty"`
	Error   string  `json:"error,omitempty"` // compile, runtime, panic or case
	Message string  `json:"message,omitempty"`
	Cost    *uint64 `json:"cost,omitempty"`
}

func celLine(line []byte) any {
	var c celCase
	if err := json.Unmarshal(line, &c); err != nil {
		return celAnswer{Name: c.Name, Error: "case", Message: err.Error()}
	}
	answer := celAnswer{Name: c.Name}
	c.run(&answer)
	return answer
}

func (c *celCase) run(answer *celAnswer) {
	defer func() {
		if fault := recover(); fault != nil {
			answer.Error, answer.Message = "panic", fmt.Sprintf("%v\n%s", fault, debug.Stack())
		}
	}()
	gates := c.Features
	if gates == nil {
		gates = []string{"DRAConsumableCapacity"} // the default from 1.36 on
	}
	compiled := celCache(gates).GetOrCompile(c.Expression)
	if compiled.Error != nil {
		answer.Error, answer.Message = "compile", compiled.Error.Error()
		return
	}
	matches, details, err := compiled.DeviceMatches(context.Background(), cel.Device{
		Driver:                   c.Driver,
		AllowMultipleAllocations: c.AllowMultipleAllocations,
		Attributes:               c.Attributes,
		Capacity:                 c.Capacity,
	})
	if details != nil {
		answer.Cost = details.ActualCost()
	}
	if err != nil {
		answer.Error, answer.Message = "runtime", err.Error()
		return
	}
	answer.Result = &matches
}
