//go:build kubernetes_1_34

package main

import "errors"

// failsOnlyNode is never true in 1.34: every error concerns the whole pod.
func failsOnlyNode(error) bool {
	return false
}

// useChannel refuses to choose: 1.34 takes the variant from the features alone.
func useChannel(name string) error {
	if name != "" {
		return errors.New("1.34 cannot choose a channel; leave the features to decide")
	}
	return nil
}
