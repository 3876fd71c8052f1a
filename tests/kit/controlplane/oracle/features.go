package main

import (
	"fmt"
	"reflect"
	"slices"

	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"
)

// bindingAndStatus is one feature from 1.35 on; 1.34 has its two halves.
const bindingAndStatus = "DRADeviceBindingConditions+DRAResourceClaimDeviceStatus"

// featureFields maps a name as Features.Set() spells it to the fields it may stand
// for; a version has some of these fields and lacks others.
var featureFields = map[string][]string{
	"DRAAdminAccess":               {"AdminAccess"},
	"DRAConsumableCapacity":        {"ConsumableCapacity"},
	"DRADerivedAttributes":         {"DerivedAttributes"},
	"DRADeviceBindingConditions":   {"DeviceBinding"},
	"DRADeviceCompatibilityGroups": {"CompatibilityGroups"},
	"DRADeviceTaints":              {"DeviceTaints"},
	"DRAFractionalCapacityRange":   {"FractionalCapacityRange"},
	"DRAListTypeAttributes":        {"ListTypeAttributes"},
	"DRAOptionalNodeOperations":    {"OptionalNodeOperations"},
	"DRAPartitionableDevices":      {"PartitionableDevices"},
	"DRAPrioritizedList":           {"PrioritizedList"},
	"DRAResourceClaimDeviceStatus": {"DeviceStatus"},
	bindingAndStatus:               {"DeviceBindingAndStatus", "DeviceBinding", "DeviceStatus"},
}

// allocatorFeatures sets the named features, or fails for one this version lacks.
func allocatorFeatures(names []string) (structured.Features, error) {
	var features structured.Features
	value := reflect.ValueOf(&features).Elem()
	for _, name := range names {
		known := false
		for _, field := range featureFields[name] {
			if f := value.FieldByName(field); f.IsValid() {
				f.SetBool(true)
				known = true
			}
		}
		if !known {
			return features, fmt.Errorf("this version has no feature %q", name)
		}
	}
	return features, nil
}

// gateNames lists the features of this version.
func gateNames() []string {
	var names []string
	for name := range featureFields {
		if _, err := allocatorFeatures([]string{name}); err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// celFeatures is what kube-scheduler is meant to derive from the gates for its
// selector cache; the field for lists exists from 1.36 on.
func celFeatures(gates []string) cel.Features {
	var features cel.Features
	value := reflect.ValueOf(&features).Elem()
	for gate, field := range map[string]string{
		"DRAConsumableCapacity": "EnableConsumableCapacity",
		"DRAListTypeAttributes": "EnableListTypeAttributes",
	} {
		if f := value.FieldByName(field); f.IsValid() && slices.Contains(gates, gate) {
			f.SetBool(true)
		}
	}
	return features
}
