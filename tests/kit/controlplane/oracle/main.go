// Command oracle answers allocation cases and CEL selectors with the code that
// kube-scheduler itself runs, so that our prediction can be compared with it.
//
// Both subcommands read one JSON object per line and write one per line, in the
// same order, flushed at once: the caller may keep the process and converse.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

const usage = `usage: oracle allocate [--channel NAME] [--timeout D] | oracle cel | oracle features`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(2)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("no subcommand\n%s", usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	channel := flags.String("channel", "", "use this variant (stable, incubating, experimental), not the first that has the features")
	timeout := flags.Duration("timeout", 10*time.Second, "give up on a case after this long, as kube-scheduler does")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "allocate":
		if err := useChannel(*channel); err != nil {
			return err
		}
		return eachLine(os.Stdin, os.Stdout, func(line []byte) any { return allocateLine(line, *timeout) })
	case "cel":
		return eachLine(os.Stdin, os.Stdout, celLine)
	case "features":
		return json.NewEncoder(os.Stdout).Encode(gateNames())
	}
	return fmt.Errorf("unknown subcommand %q\n%s", args[0], usage)
}

// eachLine answers every non-empty line of in with one line on out.
func eachLine(in io.Reader, out io.Writer, answer func([]byte) any) error {
	reader := bufio.NewReaderSize(in, 1<<20)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for {
		line, err := reader.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if encodeErr := encoder.Encode(answer(line)); encodeErr != nil {
				return encodeErr
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
