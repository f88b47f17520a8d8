package swoosh

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	version         = "0.1.0"
	defaultAddress  = "http://127.0.0.1:7400"
	mostAnswerBytes = 64 << 20
	freshView       = time.Second
)

// Client is a client of a node, or of several nodes of one cluster. It is safe for concurrent use.
type Client struct {
	addresses []string
	identity  *Identity
	reader    *Identity
	node      string
	clock     *HlcClock
	retry     RetryPolicy
	exchange  time.Duration
	trace     string
	http      *http.Client
	random    func() float64
	sleep     func(context.Context, time.Duration) error

	lock    sync.Mutex
	at      int
	cluster string
	views   map[string]knownView
}

type knownView struct {
	readAt time.Time
	view   *TransitionsAnswer
}

type options struct {
	client               *Client
	transport            http.RoundTripper
	ca, certificate, key string
}

// An Option sets up a client.
type Option func(*options) error

// As signs proposals, and reads, as this identity.
func As(identity *Identity) Option {
	return func(o *options) error { o.client.identity = identity; return nil }
}

// ReadAs signs reads as this identity.
func ReadAs(identity *Identity) Option {
	return func(o *options) error { o.client.reader = identity; return nil }
}

// Node takes receipts of the node with this key alone.
func Node(key string) Option {
	return func(o *options) error { o.client.node = key; _, err := DecodePublic(key); return err }
}

// Cluster is named by signatures; the node is asked where it is left out.
func Cluster(name string) Option {
	return func(o *options) error { o.client.cluster = name; return nil }
}

// Addresses are further nodes of the cluster.
func Addresses(more ...string) Option {
	return func(o *options) error { o.client.addresses = append(o.client.addresses, more...); return nil }
}

// Clock shares a clock with other clients of the cluster.
func Clock(clock *HlcClock) Option {
	return func(o *options) error { o.client.clock = clock; return nil }
}

// Retry says how often and how patiently a proposal is tried again.
func Retry(policy RetryPolicy) Option {
	return func(o *options) error { o.client.retry = policy; return nil }
}

// ExchangeTime bounds one exchange; 30 s where it is left out.
func ExchangeTime(limit time.Duration) Option {
	return func(o *options) error { o.client.exchange = limit; return nil }
}

// Traceparent is passed on to the node.
func Traceparent(header string) Option {
	return func(o *options) error { o.client.trace = header; return nil }
}

// Transport makes the connections.
func Transport(transport http.RoundTripper) Option {
	return func(o *options) error { o.transport = transport; return nil }
}

// CA is a file of authorities of the node's certificate, in PEM.
func CA(file string) Option {
	return func(o *options) error { o.ca = file; return nil }
}

// Certificate is the client's own, and its key, in PEM.
func Certificate(file, key string) Option {
	return func(o *options) error { o.certificate, o.key = file, key; return nil }
}

// FromEnvironment reads the variables of the command: SWOOSH_CLUSTER, SWOOSH_KEY, SWOOSH_READ_AS, SWOOSH_CA, SWOOSH_CERT and
// SWOOSH_CERT_KEY. A key is a file, or env:NAME for a variable that holds it.
func FromEnvironment() Option {
	return func(o *options) (err error) {
		o.client.cluster = os.Getenv("SWOOSH_CLUSTER")
		o.ca, o.certificate, o.key = os.Getenv("SWOOSH_CA"), os.Getenv("SWOOSH_CERT"), os.Getenv("SWOOSH_CERT_KEY")
		if o.client.identity, err = namedIdentity(os.Getenv("SWOOSH_KEY")); err != nil {
			return err
		}
		o.client.reader, err = namedIdentity(os.Getenv("SWOOSH_READ_AS"))
		return err
	}
}

func namedIdentity(name string) (*Identity, error) {
	switch {
	case name == "":
		return nil, nil
	case strings.HasPrefix(name, "env:"):
		return ParseIdentity(os.Getenv(strings.TrimPrefix(name, "env:")))
	}
	return LoadIdentity(name)
}

// New makes a client of the node at an address; of SWOOSH_URL, else of this machine, where it is empty. It opens no connection.
func New(address string, given ...Option) (*Client, error) {
	if address == "" {
		if address = os.Getenv("SWOOSH_URL"); address == "" {
			address = defaultAddress
		}
	}
	client := &Client{
		addresses: strings.Split(address, ","), clock: &HlcClock{}, retry: DefaultRetry, exchange: 30 * time.Second,
		random: rand.Float64, sleep: sleep, views: map[string]knownView{},
	}
	set := options{client: client}
	for _, option := range given {
		if err := option(&set); err != nil {
			return nil, err
		}
	}
	for at, found := range client.addresses {
		checked, err := checkAddress(found)
		if err != nil {
			return nil, err
		}
		client.addresses[at] = checked
	}
	transport, err := set.roundTripper()
	client.http = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client, err
}

func (o *options) roundTripper() (http.RoundTripper, error) {
	if o.transport != nil {
		return o.transport, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.ca != "" {
		pem, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", o.ca)
		}
	}
	if o.certificate != "" {
		key := o.key
		if key == "" {
			key = o.certificate
		}
		pair, err := tls.LoadX509KeyPair(o.certificate, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	dialer := &net.Dialer{Timeout: 3 * time.Second}
	// A proxy of the environment is not asked for this machine: http.ProxyFromEnvironment knows that.
	return &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSClientConfig: config, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16}, nil
}

func checkAddress(text string) (string, error) {
	found, err := url.Parse(strings.TrimSpace(text))
	if err != nil || found.Scheme != "http" && found.Scheme != "https" || found.Hostname() == "" ||
		found.User != nil || found.RawQuery != "" || found.Fragment != "" {
		return "", fmt.Errorf("%w: %.200q is not the address of a node; write http://host:port or https://host:port", ErrForm, text)
	}
	return strings.TrimRight(found.String(), "/"), nil
}

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// String shows the address, and no secret.
func (c *Client) String() string { return "Client(" + c.address() + ")" }

func (c *Client) address() string {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.addresses[c.at]
}

// turn goes to the next address, unless another exchange has done so since.
func (c *Client) turn(from string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.addresses[c.at] == from {
		c.at = (c.at + 1) % len(c.addresses)
	}
}

// reply is an answer of any status.
type reply struct {
	address string
	status  int
	header  http.Header
	body    []byte
}

func (c *Client) request(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Request, string, error) {
	address := c.address()
	target := address + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, address, err
	}
	request.Header.Set("User-Agent", "swoosh-go/"+version+" ("+runtime.Version()+")")
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.trace != "" {
		request.Header.Set("Traceparent", c.trace)
	}
	if method == http.MethodGet {
		err = c.signRead(ctx, request)
	}
	return request, address, err
}

// signRead signs the very target of a read. The cluster is asked before; /health answers without a signature.
func (c *Client) signRead(ctx context.Context, request *http.Request) error {
	reader := c.reader
	if reader == nil {
		reader = c.identity
	}
	if reader == nil {
		return nil
	}
	cluster := c.knownCluster()
	if cluster == "" {
		if strings.HasSuffix(request.URL.Path, "/health") {
			return nil
		}
		asked, err := c.Cluster(ctx)
		if err != nil {
			return err
		}
		cluster = asked
	}
	hlc := c.clock.Now().String()
	document := map[string]any{"hlc": hlc, "signer": reader.Public, "target": request.URL.RequestURI()}
	signature, err := reader.SignDocument(DomainRead, cluster, document)
	request.Header.Set("X-Hmmm-Signer", reader.Public)
	request.Header.Set("X-Swoosh-Hlc", hlc)
	request.Header.Set("X-Hmmm-Signature", signature)
	return err
}

// send makes one exchange. The context bounds it, and the time for an exchange.
func (c *Client) send(request *http.Request, address string) (*reply, error) {
	ctx, cancel := context.WithTimeout(request.Context(), c.exchange)
	defer cancel()
	answer, err := c.http.Do(request.WithContext(ctx))
	if err != nil {
		return nil, &UnreachableError{address, bare(err)}
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, mostAnswerBytes+1))
	if err == nil && len(body) > mostAnswerBytes {
		err = fmt.Errorf("the answer has more than %d bytes", mostAnswerBytes)
	}
	if err != nil {
		return nil, &UnreachableError{address, err}
	}
	return &reply{address, answer.StatusCode, answer.Header, body}, nil
}

// bare leaves out the address, which url.Error repeats.
func bare(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

// ask reads from the first address that answers. Each address gets a request of its own.
func (c *Client) ask(ctx context.Context, path string, query url.Values) (*reply, error) {
	var last error
	for range c.addresses {
		request, address, err := c.request(ctx, http.MethodGet, path, query, nil)
		if err != nil {
			return nil, err
		}
		answer, err := c.send(request, address)
		if err == nil {
			return answer, nil
		}
		last = err
		if ctx.Err() != nil {
			break
		}
		c.turn(address)
	}
	return nil, last
}

// decode reads a successful answer, and follows its clock; everything else is an error.
func (c *Client) decode(answer *reply, into any) error {
	if answer.status != http.StatusOK {
		if problem := problemOf(answer.body); problem != nil {
			c.follow(answer.body)
			return problem
		}
		return &UnexpectedError{answer.address, answer.status, string(answer.body)}
	}
	if err := json.Unmarshal(answer.body, into); err != nil {
		return &UnexpectedError{answer.address, answer.status, err.Error()}
	}
	c.follow(answer.body)
	return nil
}

// follow feeds the clock with the readings of a document.
func (c *Client) follow(body []byte) {
	var found struct {
		Time      string          `json:"time"`
		Hlc       string          `json:"hlc"`
		Timestamp string          `json:"timestamp"`
		Last      json.RawMessage `json:"hlc_last"`
	}
	_ = json.Unmarshal(body, &found)
	for _, text := range []string{found.Time, found.Hlc, found.Timestamp} {
		c.clock.Observe(text)
	}
	var text string
	var last struct {
		Hlc string `json:"hlc"`
	}
	if json.Unmarshal(found.Last, &text) != nil && json.Unmarshal(found.Last, &last) == nil {
		text = last.Hlc
	}
	c.clock.Observe(text)
}

func (c *Client) knownCluster() string {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.cluster
}
