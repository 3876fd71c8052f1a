package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"
)

// shareID stands in for the random ids of multi-allocatable devices.
const shareID = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"

// celCacheSize keeps the few expressions of a batch compiled; kube-scheduler's own
// cache has the same effect within one cluster.
const celCacheSize = 512

type device struct {
	Driver, Pool, Device string
}

type sharedDevice struct {
	device
	ShareID string
}

type deviceCapacity struct {
	device
	Capacity map[resourceapi.QualifiedName]resource.Quantity
}

type allocateCase struct {
	Name  string `json:"name"`
	Input struct {
		Features                 []string                     `json:"features"`
		Claims                   []*resourceapi.ResourceClaim `json:"claims"`
		Classes                  []*resourceapi.DeviceClass   `json:"classes"`
		Slices                   []*resourceapi.ResourceSlice `json:"slices"`
		Node                     *corev1.Node                 `json:"node"`
		AllocatedDevices         []device                     `json:"allocatedDevices"`
		AllocatedSharedDeviceIDs []sharedDevice               `json:"allocatedSharedDeviceIDs"`
		AllocatedCapacity        []deviceCapacity             `json:"allocatedCapacity"`
	} `json:"input"`
}

// allocateAnswer has exactly one of Results, Error, Timeout, Panic and Failure, or
// none of them when the claims do not fit.
type allocateAnswer struct {
	Name            string                         `json:"name"`
	Results         []resourceapi.AllocationResult `json:"results"`
	Error           string                         `json:"error,omitempty"`
	NodeOnly        bool                           `json:"nodeOnly,omitempty"` // the error leaves the other nodes open
	Timeout         bool                           `json:"timeout,omitempty"`
	Panic           string                         `json:"panic,omitempty"`
	Failure         string                         `json:"failure,omitempty"` // the case itself cannot be run
	Channel         string                         `json:"channel,omitempty"`
	NumAllocateOne  int64                          `json:"numAllocateOne"`
	DurationSeconds float64                        `json:"seconds"`
}

func allocateLine(line []byte, timeout time.Duration) any {
	var c allocateCase
	if err := json.Unmarshal(line, &c); err != nil {
		return allocateAnswer{Name: c.Name, Failure: "decode: " + err.Error()}
	}
	answer := allocateAnswer{Name: c.Name}
	begin := time.Now()
	c.run(&answer, timeout)
	answer.DurationSeconds = time.Since(begin).Seconds()
	return answer
}

func (c *allocateCase) run(answer *allocateAnswer, timeout time.Duration) {
	features, err := allocatorFeatures(c.Input.Features)
	if err != nil {
		answer.Failure = err.Error()
		return
	}
	defer func() {
		if fault := recover(); fault != nil {
			answer.Results = nil
			answer.Panic = fmt.Sprintf("%v\n%s", fault, debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	allocator, err := structured.NewAllocator(ctx, features, c.allocatedState(), classes(c.Input.Classes),
		c.Input.Slices, celCache(c.Input.Features))
	if err != nil {
		answer.Failure = err.Error()
		return
	}
	results, err := allocator.Allocate(ctx, c.Input.Node, c.Input.Claims)
	answer.Channel, answer.NumAllocateOne = inspect(allocator)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		answer.Timeout = true
	case err != nil:
		answer.Error, answer.NodeOnly = err.Error(), failsOnlyNode(err)
	default:
		answer.Results = withFixedShareIDs(results)
	}
}

func (c *allocateCase) allocatedState() structured.AllocatedState {
	state := structured.AllocatedState{
		AllocatedDevices:         sets.New[structured.DeviceID](),
		AllocatedSharedDeviceIDs: sets.New[structured.SharedDeviceID](),
		AggregatedCapacity:       structured.NewConsumedCapacityCollection(),
	}
	for _, d := range c.Input.AllocatedDevices {
		state.AllocatedDevices.Insert(d.id())
	}
	for _, d := range c.Input.AllocatedSharedDeviceIDs {
		share := types.UID(d.ShareID)
		state.AllocatedSharedDeviceIDs.Insert(structured.MakeSharedDeviceID(d.id(), &share))
	}
	for _, d := range c.Input.AllocatedCapacity {
		state.AggregatedCapacity.Insert(structured.NewDeviceConsumedCapacity(d.id(), d.Capacity))
	}
	return state
}

func (d device) id() structured.DeviceID {
	return structured.MakeDeviceID(d.Driver, d.Pool, d.Device)
}

// classes lists the device classes of a case by name.
type classes []*resourceapi.DeviceClass

func (c classes) List() ([]*resourceapi.DeviceClass, error) { return c, nil }

func (c classes) Get(name string) (*resourceapi.DeviceClass, error) {
	for _, class := range c {
		if class.Name == name {
			return class, nil
		}
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Group: resourceapi.GroupName, Resource: "deviceclasses"}, name)
}

// inspect asks for the variant's name and its step count, where the variant tells
// them. The types involved are internal to the library, hence the reflection.
func inspect(allocator structured.Allocator) (channel string, steps int64) {
	value := reflect.ValueOf(allocator)
	if method := value.MethodByName("Channel"); method.IsValid() {
		channel = method.Call(nil)[0].String()
	}
	if method := value.MethodByName("GetStats"); method.IsValid() {
		// A pointer, and nil in the variants of 1.34 that do not count.
		if stats := reflect.Indirect(method.Call(nil)[0]); stats.IsValid() {
			steps = stats.FieldByName("NumAllocateOneInvocations").Int()
		}
	}
	return channel, steps
}

func withFixedShareIDs(results []resourceapi.AllocationResult) []resourceapi.AllocationResult {
	for i := range results {
		for j := range results[i].Devices.Results {
			if result := &results[i].Devices.Results[j]; result.ShareID != nil {
				fixed := types.UID(shareID)
				result.ShareID = &fixed
			}
		}
	}
	return results
}

// celCaches holds one cache of compiled expressions per set of CEL features.
var celCaches = map[cel.Features]*cel.Cache{}

func celCache(gates []string) *cel.Cache {
	features := celFeatures(gates)
	if celCaches[features] == nil {
		celCaches[features] = cel.NewCache(celCacheSize, features)
	}
	return celCaches[features]
}
