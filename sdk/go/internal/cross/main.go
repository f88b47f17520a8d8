// Cross is a step of the cross test: cross STEP_FILE. It verifies the receipts that other SDKs left, proves the state of the
// project, proposes one transition, and leaves its receipt.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"chorus.local/swoosh"
)

type step struct {
	URL, Cluster, Node, Key, Project, Receipts string
	Transition                                 swoosh.Transition
	Inputs                                     map[string]any
	IsKnown                                    bool `json:"is_known"`
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(file string, into any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func run(file string) error {
	var asked step
	if err := read(file, &asked); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(asked.Receipts, "*.json"))
	if err != nil {
		return err
	}
	for _, name := range left {
		var receipt swoosh.Receipt
		if err := read(name, &receipt); err != nil {
			return err
		}
		if err := receipt.Verify(asked.Cluster, asked.Node); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	key, err := swoosh.LoadIdentity(asked.Key)
	if err != nil {
		return err
	}
	client, err := swoosh.New(asked.URL, swoosh.As(key), swoosh.Node(asked.Node), swoosh.Cluster(asked.Cluster))
	if err != nil {
		return err
	}
	ctx := context.Background()
	if asked.IsKnown {
		if _, err := client.State(ctx, asked.Project, swoosh.Sections("council", "execution", "ingestion", "environment"), swoosh.Proven()); err != nil {
			return err
		}
	}
	done, err := client.Propose(ctx, swoosh.Draft{Project: asked.Project, Goal: "cross", Inputs: swoosh.Raw{Name: asked.Transition, Members: asked.Inputs}})
	if err != nil {
		return err
	}
	accepted, ok := done.(*swoosh.Accepted)
	if !ok {
		return fmt.Errorf("%s is held", asked.Transition)
	}
	return os.WriteFile(filepath.Join(asked.Receipts, fmt.Sprintf("%04d-go.json", accepted.Receipt.Index)), accepted.Body, 0o600)
}
