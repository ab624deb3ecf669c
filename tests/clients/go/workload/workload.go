// Package workload is what the Go programs share: the specification in, one line for each step out, records as the README
// in the folder above writes them.
package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// LargestBytes is the size that every limit of a client is set to.
const LargestBytes = 32 << 20

// Waiting is how long a step may take on a busy machine; Refused, how long a send after a refused one may take before it counts as hanging.
const (
	Waiting = 150 * time.Second
	Refused = 8 * time.Second
)

// Record is a record that shall be sent.
type Record struct {
	Partition int32       `json:"partition"`
	Key       *string     `json:"key"`
	Value     *string     `json:"value"`
	Times     int         `json:"times"`
	Headers   [][2]string `json:"headers"`
	Timestamp int64       `json:"timestamp"`
}

// KeyBytes is the key, nil if it shall be null.
func (r Record) KeyBytes() []byte { return repeated(r.Key, 1) }

// ValueBytes is the value, nil if it shall be null.
func (r Record) ValueBytes() []byte { return repeated(r.Value, r.Times) }

// Time is the timestamp.
func (r Record) Time() time.Time { return time.UnixMilli(r.Timestamp) }

func repeated(text *string, times int) []byte {
	if text == nil {
		return nil
	}
	return []byte(strings.Repeat(*text, times))
}

// Topic is a topic that shall be made.
type Topic struct {
	Name       string            `json:"name"`
	Partitions int32             `json:"partitions"`
	Config     map[string]string `json:"config"`
}

// Offsets are committed within a transaction.
type Offsets struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// Round is one transaction.
type Round struct {
	Records []Record `json:"records"`
	End     string   `json:"end"`
	Offsets *Offsets `json:"offsets"`
}

// Step is one thing to do; a step has the fields that the README gives it.
type Step struct {
	Do         string          `json:"do"`
	Topic      string          `json:"topic"`
	Topics     json.RawMessage `json:"topics"`
	Records    []Record        `json:"records"`
	Acks       any             `json:"acks"`
	Codec      string          `json:"codec"`
	Idempotent bool            `json:"idempotent"`
	Linger     int             `json:"linger"`
	Count      int             `json:"count"`
	Group      string          `json:"group"`
	Isolation  string          `json:"isolation"`
	Protocol   string          `json:"protocol"`
	Partitions int             `json:"partitions"`
	Config     string          `json:"config"`
	ID         string          `json:"id"`
	Rounds     []Round         `json:"rounds"`
	Folder     string          `json:"folder"`
	Mode       string          `json:"mode"`
	Good       Record          `json:"good"`
	Bad        Record          `json:"bad"`
}

// Made are the topics of the step create.
func (s Step) Made() (topics []Topic, err error) {
	return topics, json.Unmarshal(s.Topics, &topics)
}

// Named are the topics of the step delete.
func (s Step) Named() (names []string, err error) {
	return names, json.Unmarshal(s.Topics, &names)
}

// Follow does the rounds of the step follow: send sends and waits, receive waits a moment and gives what came.
func (s Step) Follow(send func([]Record) error, receive func() []Told) (any, error) {
	received, sent := []Told{}, 0
	deadline := time.Now().Add(Waiting)
	for number, round := range s.Rounds {
		for !exists(filepath.Join(s.Folder, fmt.Sprintf("%d.go", number))) && time.Now().Before(deadline) {
			received = append(received, receive()...)
		}
		if err := send(round.Records); err != nil {
			return nil, err
		}
		for sent += len(round.Records); len(received) < sent; {
			if time.Now().After(deadline) {
				return nil, fmt.Errorf("%d of %d records came", len(received), sent)
			}
			received = append(received, receive()...)
		}
		if err := os.WriteFile(filepath.Join(s.Folder, fmt.Sprintf("%d.done", number)), nil, 0o600); err != nil {
			return nil, err
		}
	}
	return InOrder(received), nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// Told is a record that was received.
type Told struct {
	Partition int32        `json:"partition"`
	Offset    int64        `json:"offset"`
	Key       *string      `json:"key"`
	Size      *int         `json:"size"`
	SHA256    *string      `json:"sha256"`
	Headers   [][2]*string `json:"headers"`
	Timestamp int64        `json:"timestamp"`
}

// Tell makes a record ready to be told.
func Tell(partition int32, offset int64, key, value []byte, headers [][2]*string, at time.Time) Told {
	told := Told{Partition: partition, Offset: offset, Headers: headers, Timestamp: at.UnixMilli()}
	if key != nil {
		text := string(key)
		told.Key = &text
	}
	if value != nil {
		size, sum := len(value), sha256.Sum256(value)
		text := hex.EncodeToString(sum[:])
		told.Size, told.SHA256 = &size, &text
	}
	return told
}

// Header makes a header ready to be told.
func Header(name string, content []byte) [2]*string {
	text := string(content)
	return [2]*string{&name, &text}
}

// InOrder sorts records by partition and offset.
func InOrder(records []Told) []Told {
	sort.Slice(records, func(a, b int) bool {
		if records[a].Partition != records[b].Partition {
			return records[a].Partition < records[b].Partition
		}
		return records[a].Offset < records[b].Offset
	})
	return records
}

// Places sorts pairs of partition and offset.
func Places(places [][2]int64) [][2]int64 {
	sort.Slice(places, func(a, b int) bool {
		if places[a][0] != places[b][0] {
			return places[a][0] < places[b][0]
		}
		return places[a][1] < places[b][1]
	})
	return places
}

// Inspection is the result of the step inspect.
type Inspection struct {
	Partitions int        `json:"partitions"`
	Config     string     `json:"config"`
	Committed  [][2]int64 `json:"committed"`
	Brokers    [][2]any   `json:"brokers"`
}

// Attempts are the outcomes of things that may fail or hang.
type Attempts [][2]string

// Try does it, notes `ok`, the error as name tells it, or `hangs`, and says whether it went well.
func (a *Attempts) Try(what string, name func(error) string, action func() error) bool {
	outcome := "hangs"
	done := make(chan error, 1)
	go func() { done <- action() }()
	select {
	case err := <-done:
		outcome = "ok"
		if err != nil {
			outcome = name(err)
		}
	case <-time.After(Refused + 2*time.Second):
	}
	*a = append(*a, [2]string{what, outcome})
	return outcome == "ok"
}

// Main runs the specification on standard input; every operation is one step.
func Main(use func(bootstrap string) map[string]func(Step) (any, error)) {
	var specification struct {
		Bootstrap string `json:"bootstrap"`
		Steps     []Step `json:"steps"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&specification); err != nil {
		fail("the specification", err)
	}
	operations := use(specification.Bootstrap)
	for _, step := range specification.Steps {
		result, err := operations[step.Do](step)
		if err != nil {
			fail(step.Do, err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"result": result}); err != nil {
			fail(step.Do, err)
		}
	}
}

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
	os.Exit(1)
}
