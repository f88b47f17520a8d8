// Ingestworker works on external effects: ingestworker KEY_FILE OUTCOMES_FILE
//
// OUTCOMES_FILE has the inputs of each effect's success, by project, as the work would give them. It may be killed at any
// moment: the key of an outcome follows from the effect, so a repeat gets the first receipt.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"chorus.local/swoosh"
)

func main() {
	if err := run(); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 {
		return errors.New("usage: ingestworker KEY_FILE OUTCOMES_FILE")
	}
	key, err := swoosh.LoadIdentity(os.Args[1])
	if err != nil {
		return err
	}
	text, err := os.ReadFile(os.Args[2])
	if err != nil {
		return err
	}
	var outcomes map[string]swoosh.IngestionCorpusBuilt
	if err := json.Unmarshal(text, &outcomes); err != nil {
		return err
	}
	client, err := swoosh.New("", swoosh.As(key))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	index := func(_ context.Context, effect swoosh.EffectView) (swoosh.Inputs, error) {
		outcome, ok := outcomes[effect.Project]
		if !ok {
			return nil, fmt.Errorf("there is no outcome for %s", effect.Project)
		}
		return outcome, nil
	}
	worker := swoosh.Worker{
		Client: client, Do: map[swoosh.EffectName]swoosh.Doer{swoosh.EffectIndex: index}, Every: time.Second, Done: report,
	}
	return worker.Run(ctx)
}

func report(effect swoosh.EffectView, outcome swoosh.Outcome, err error) {
	switch found := outcome.(type) {
	case *swoosh.Accepted:
		fmt.Println(found.Receipt.Transition, effect.Id, found.Receipt.Index)
	case *swoosh.Held:
		fmt.Println(effect.Id, "is held")
	default:
		fmt.Fprintln(os.Stderr, err)
	}
}
