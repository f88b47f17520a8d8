package swoosh

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	answer, err := c.ask(ctx, path, query)
	if err != nil {
		return err
	}
	return c.decode(answer, into)
}

// Cluster is what signatures name: as set, else as the node says.
func (c *Client) Cluster(ctx context.Context) (string, error) {
	if known := c.knownCluster(); known != "" {
		return known, nil
	}
	health, err := c.Health(ctx)
	if err != nil {
		return "", err
	}
	return health.Cluster, nil
}

// Health is GET /health. A node that refuses proposals answers too. Its key must be the pinned one.
func (c *Client) Health(ctx context.Context) (*HealthAnswer, error) {
	answer, err := c.ask(ctx, "/health", nil)
	if err != nil {
		return nil, err
	}
	var health HealthAnswer
	if answer.status == http.StatusServiceUnavailable && problemOf(answer.body) == nil {
		answer.status = http.StatusOK
	}
	if err := c.decode(answer, &health); err != nil {
		return nil, err
	}
	if c.node != "" && c.node != health.Node {
		return nil, notProven("%s is the node %s, and this client is pinned to %s", answer.address, health.Node, c.node)
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.cluster == "" {
		c.cluster = health.Cluster
	}
	return &health, nil
}

type stateQuery struct {
	values   url.Values
	sections []string
	isProven bool
}

// A StateOption says what of a state is read.
type StateOption func(*stateQuery)

// Sections are shown.
func Sections(names ...string) StateOption {
	return func(q *stateQuery) { q.sections = names; q.values.Set("projection", strings.Join(names, ",")) }
}

// At selects the state after an earlier record.
func At(index int64) StateOption {
	return func(q *stateQuery) { q.values.Set("at", strconv.FormatInt(index, 10)) }
}

// Proven checks the sections against the head.
func Proven() StateOption {
	return func(q *stateQuery) { q.isProven = true }
}

// State is GET /state: a project's head, and some of its sections.
func (c *Client) State(ctx context.Context, project string, given ...StateOption) (*StateAnswer, error) {
	if _, err := checkForm("project", project); err != nil {
		return nil, err
	}
	query := stateQuery{values: url.Values{"project": {project}}}
	for _, option := range given {
		option(&query)
	}
	answer, err := c.ask(ctx, "/state", query.values)
	if err != nil {
		return nil, err
	}
	var state StateAnswer
	if err := c.decode(answer, &state); err != nil {
		return nil, err
	}
	if query.isProven && (state.Project != project || !shows(&state, query.sections) || !proven(answer.body)) {
		return nil, notProven("%s shows a state of %s that does not have the hash that it names", answer.address, project)
	}
	return &state, nil
}

func shows(state *StateAnswer, sections []string) bool {
	for _, name := range sections {
		var ignored any
		if section(state, name, &ignored) != nil {
			return false
		}
	}
	return true
}

// Head is what the next proposal names; of a project that does not exist yet, the genesis head.
func (c *Client) Head(ctx context.Context, project string) (string, error) {
	state, err := c.State(ctx, project)
	var problem *Problem
	if errors.As(err, &problem) && problem.Code == CodeUnknownProject && problem.Head != "" {
		return problem.Head, nil
	}
	if err != nil {
		return "", err
	}
	return state.Hash, nil
}

// Transitions is GET /transitions: what may happen now, why the rest may not, and the place in the window schedule.
func (c *Client) Transitions(ctx context.Context, project string) (*TransitionsAnswer, error) {
	if _, err := checkForm("project", project); err != nil {
		return nil, err
	}
	var view TransitionsAnswer
	if err := c.get(ctx, "/transitions", url.Values{"project": {project}}, &view); err != nil {
		return nil, err
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	c.views[project] = knownView{time.Now(), &view}
	return &view, nil
}

// freshView is the last answer of Transitions, while it is fresh, and the pressure as read last.
func (c *Client) freshView(project string) (*TransitionsAnswer, int64) {
	c.lock.Lock()
	defer c.lock.Unlock()
	known, ok := c.views[project]
	if !ok {
		return nil, 0
	}
	var pressure int64
	if known.view.Pressure != nil {
		pressure = *known.view.Pressure
	}
	if time.Since(known.readAt) >= freshView {
		return nil, pressure
	}
	return known.view, pressure
}

// Windows is GET /windows: the schedule at a time, and the next windows.
func (c *Client) Windows(ctx context.Context, project, at string, count int) (*WindowsAnswer, error) {
	query := url.Values{"project": {project}, "count": {strconv.Itoa(count)}}
	if at != "" {
		query.Set("at", at)
	}
	var answer WindowsAnswer
	return &answer, c.get(ctx, "/windows", query, &answer)
}

func (c *Client) beatAt(ctx context.Context, project, at string) (int64, error) {
	answer, err := c.Windows(ctx, project, at, 0)
	if err != nil {
		return 0, err
	}
	beat, ok := answer.Outlook["beat"].(float64)
	if !ok {
		return 0, notProven("the node knows no schedule that is valid at %s, so no beat of a key", at)
	}
	return int64(beat), nil
}

// Decision is GET /decisions/{project}/{index}: why a record was accepted.
func (c *Client) Decision(ctx context.Context, project string, index int64) (*Decision, error) {
	if _, err := checkForm("project", project); err != nil {
		return nil, err
	}
	var answer Decision
	return &answer, c.get(ctx, "/decisions/"+project+"/"+strconv.FormatInt(index, 10), nil, &answer)
}

// An Iterator goes through a list page by page.
type Iterator[T any] struct {
	client       *Client
	ctx          context.Context
	path, member string
	begin        string
	query        url.Values
	ready        []T
	value        T
	isOver       bool
	err          error
}

// Next goes to the next item; false at the end, or after an error.
func (it *Iterator[T]) Next() bool {
	for len(it.ready) == 0 {
		if it.isOver || it.err != nil {
			return false
		}
		it.err = it.page()
	}
	it.value, it.ready = it.ready[0], it.ready[1:]
	return true
}

// Value is the present item.
func (it *Iterator[T]) Value() T { return it.value }

// Err is the error that ended the list, if any.
func (it *Iterator[T]) Err() error { return it.err }

func (it *Iterator[T]) page() error {
	page := map[string]json.RawMessage{}
	if err := it.client.get(it.ctx, it.path, it.query, &page); err != nil {
		return err
	}
	if err := json.Unmarshal(page[it.member], &it.ready); err != nil {
		return &UnexpectedError{it.client.address(), http.StatusOK, err.Error()}
	}
	next := strings.Trim(string(page["next"]), `"`)
	// A page that leads to itself would never end.
	it.isOver = next == "" || next == "null" || next == it.query.Get(it.begin)
	it.query.Set(it.begin, next)
	return nil
}

func list[T any](ctx context.Context, client *Client, path, member, begin, project string) *Iterator[T] {
	query := url.Values{"limit": {"500"}}
	if project != "" {
		query.Set("project", project)
	}
	return &Iterator[T]{client: client, ctx: ctx, path: path, member: member, begin: begin, query: query}
}

// Projects lists all projects.
func (c *Client) Projects(ctx context.Context) *Iterator[ProjectAnswer] {
	return list[ProjectAnswer](ctx, c, "/projects", "projects", "after", "")
}

// Effects lists open effects, of a project or of all.
func (c *Client) Effects(ctx context.Context, project string) *Iterator[EffectView] {
	return list[EffectView](ctx, c, "/effects", "effects", "after", project)
}

// Records lists records with their inputs, of a project or of all, from an index on.
func (c *Client) Records(ctx context.Context, project string, first int64) *Iterator[WalEntry] {
	it := list[WalEntry](ctx, c, "/wal", "records", "from", project)
	it.query.Set("from", strconv.FormatInt(first, 10))
	return it
}
