// Command dockerfile reads a Dockerfile as BuildKit does; what it cannot read and what its linter warns of is an error.
package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

func check(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	result, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return err
	}
	warnings := 0
	warn := func(rule, description, _, message string, at []parser.Range) {
		warnings++
		fmt.Fprintf(os.Stderr, "%s: %s (%s)\n", rule, message, description)
	}
	if _, _, err := instructions.Parse(result.AST, linter.New(&linter.Config{Warn: warn})); err != nil {
		return err
	}
	for _, warning := range result.Warnings {
		warnings++
		fmt.Fprintln(os.Stderr, warning.Short)
	}
	if warnings > 0 {
		return fmt.Errorf("%d warnings", warnings)
	}
	return nil
}

func main() {
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
