// Package swoosh is the Go SDK of SWOOSH: it signs proposals, posts them until they are answered, proves what a node
// shows, and works on effects. It needs the standard library alone. docs/sdk.md describes the contract that all SDKs keep.
//
//	key, err := swoosh.LoadIdentity("operator.key")
//	client, err := swoosh.New("http://127.0.0.1:7400", swoosh.As(key))
//	done, err := client.Propose(ctx, swoosh.Draft{Project: "alpha", Inputs: swoosh.ControlPause{Rationale: "lunch"}})
package swoosh
