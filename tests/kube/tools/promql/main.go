// Command promql reads alert rules and expressions as Prometheus does, and evaluates them over made-up series.
//
// It takes JSON on standard input: a file of rules (may be empty), expressions, and series in the notation of
// promtool's tests (`up{pod="a"} 0x10 1+1x5`), one sample a minute from time 0. It answers, for each expression, the
// names of the metrics and labels that it uses, and the series that it gives at each of the minutes that are asked for.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

type question struct {
	Rules       string   `json:"rules"`
	Series      []string `json:"series"`
	Expressions []string `json:"expressions"`
	Minutes     []int    `json:"minutes"`
}

type answer struct {
	Metrics []string              `json:"metrics"`
	Labels  []string              `json:"labels"`
	Given   [][]map[string]string `json:"given"`
}

// sample is one float of a series.
type sample struct {
	at    int64
	value float64
}

func (s sample) T() int64                      { return s.at }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

// memory holds all series there are.
type memory []storage.Series

func (m memory) Querier(int64, int64) (storage.Querier, error) { return m, nil }
func (m memory) Close() error                                  { return nil }

func (m memory) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, errors.New("not asked for here")
}

func (m memory) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, errors.New("not asked for here")
}

func (m memory) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := &set{}
	for _, series := range m {
		matches := true
		for _, matcher := range matchers {
			matches = matches && matcher.Matches(series.Labels().Get(matcher.Name))
		}
		if matches {
			found.series = append(found.series, series)
		}
	}
	return found
}

// set walks over series that were selected.
type set struct {
	series []storage.Series
	place  int
}

func (s *set) Next() bool                        { s.place++; return s.place <= len(s.series) }
func (s *set) At() storage.Series                { return s.series[s.place-1] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

func remember(reader parser.Parser, texts []string) (memory, error) {
	var made memory
	for _, text := range texts {
		name, values, err := reader.ParseSeriesDesc(text)
		if err != nil {
			return nil, err
		}
		var samples []chunks.Sample
		for minute, value := range values {
			if !value.Omitted {
				samples = append(samples, sample{at: int64(minute) * 60_000, value: value.Value})
			}
		}
		made = append(made, storage.NewListSeries(name, samples))
	}
	return made, nil
}

// uses answers what an expression names.
func uses(expression parser.Expr) answer {
	made := answer{Metrics: []string{}, Labels: []string{}, Given: [][]map[string]string{}}
	for _, matchers := range parser.ExtractSelectors(expression) {
		for _, matcher := range matchers {
			if matcher.Name == labels.MetricName {
				made.Metrics = append(made.Metrics, matcher.Value)
			} else {
				made.Labels = append(made.Labels, matcher.Name)
			}
		}
	}
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		if aggregation, is := node.(*parser.AggregateExpr); is {
			made.Labels = append(made.Labels, aggregation.Grouping...)
		}
		return nil
	})
	return made
}

func run() error {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return err
	}
	reader := parser.NewParser(parser.Options{})
	if _, faults := rulefmt.Parse([]byte(asked.Rules), false, model.UTF8Validation, reader, slog.Default()); len(faults) > 0 {
		return errors.Join(faults...)
	}
	series, err := remember(reader, asked.Series)
	if err != nil {
		return err
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1_000_000, Timeout: time.Minute, Parser: reader})
	var answers []answer
	for _, text := range asked.Expressions {
		expression, err := reader.ParseExpr(text)
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		one := uses(expression)
		for _, minute := range asked.Minutes {
			query, err := engine.NewInstantQuery(context.Background(), series, nil, text, time.Unix(int64(minute)*60, 0))
			if err != nil {
				return err
			}
			vector, err := query.Exec(context.Background()).Vector()
			if err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
			given := []map[string]string{}
			for _, each := range vector {
				given = append(given, each.Metric.Map())
			}
			one.Given = append(one.Given, given)
		}
		answers = append(answers, one)
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
