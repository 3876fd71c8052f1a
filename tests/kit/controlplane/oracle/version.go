//go:build !kubernetes_1_34

package main

import (
	"errors"

	"k8s.io/dynamic-resource-allocation/structured"
)

// failsOnlyNode says whether an error concerns the one node and not the whole pod.
func failsOnlyNode(err error) bool {
	return errors.Is(err, structured.ErrFailedAllocationOnNode)
}

// useChannel restricts the choice of variant; empty means by features.
func useChannel(name string) error {
	if name != "" {
		structured.EnableAllocators(name)
	}
	return nil
}
