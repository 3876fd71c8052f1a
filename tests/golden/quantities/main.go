package main

import (
	"bufio"
	"encoding/json"
	"os"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Each line of standard input is a JSON list of quantities; what they add up to is printed.
func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<26)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var texts []json.RawMessage
		if err := json.Unmarshal(in.Bytes(), &texts); err != nil {
			panic(err)
		}
		var sum resource.Quantity
		row := map[string]any{"texts": texts}
		for n, text := range texts {
			var one resource.Quantity
			if err := one.UnmarshalJSON(text); err != nil {
				row["error"] = true
				break
			}
			if n == 0 {
				sum = one
			} else {
				sum.Add(one)
			}
		}
		if row["error"] == nil {
			row["value"], row["milli"] = sum.Value(), sum.MilliValue()
			row["stored"] = sum.String()
		}
		out.Encode(row)
	}
}
