// The client program for franz-go.
package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"wiremask.dev/clients/workload"
)

type client struct{ bootstrap string }

func main() {
	workload.Main(func(bootstrap string) map[string]func(workload.Step) (any, error) {
		c := client{bootstrap}
		return map[string]func(workload.Step) (any, error){
			"create": c.create, "inspect": c.inspect, "delete": c.remove, "produce": c.produce, "consume": c.consume,
			"transact": c.transact, "rebalance": c.rebalance, "refuse": c.refuse, "share": c.share, "follow": c.follow,
		}
	})
}

func (c client) open(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(workload.LargestBytes), kgo.FetchMaxBytes(workload.LargestBytes),
		kgo.FetchMaxPartitionBytes(workload.LargestBytes), kgo.FetchMaxWait(200 * time.Millisecond),
	}, options...)...)
}

func waiting() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), workload.Waiting)
}

func (c client) create(step workload.Step) (any, error) {
	topics, err := step.Made()
	if err != nil {
		return nil, err
	}
	cl, err := c.open()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := waiting()
	defer cancel()
	for _, topic := range topics {
		settings := map[string]*string{}
		for name, value := range topic.Config {
			settings[name] = kadm.StringPtr(value)
		}
		if _, err := kadm.NewClient(cl).CreateTopic(ctx, topic.Partitions, 1, settings, topic.Name); err != nil {
			return nil, err
		}
	}
	return "created", nil
}

func (c client) inspect(step workload.Step) (any, error) {
	cl, err := c.open()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := waiting()
	defer cancel()
	admin := kadm.NewClient(cl)
	found := workload.Inspection{}
	described, err := admin.Metadata(ctx, step.Topic)
	if err != nil {
		return nil, err
	}
	found.Partitions = len(described.Topics[step.Topic].Partitions)
	for _, broker := range described.Brokers {
		found.Brokers = append(found.Brokers, [2]any{broker.NodeID, fmt.Sprintf("%s:%d", broker.Host, broker.Port)})
	}
	resources, err := admin.DescribeTopicConfigs(ctx, step.Topic)
	if err != nil {
		return nil, err
	}
	for _, setting := range resources[0].Configs {
		if setting.Key == step.Config {
			found.Config = setting.MaybeValue()
		}
	}
	offsets, err := admin.FetchOffsets(ctx, step.Group)
	if err != nil {
		return nil, err
	}
	offsets.Each(func(kept kadm.OffsetResponse) {
		found.Committed = append(found.Committed, [2]int64{int64(kept.Partition), kept.At})
	})
	workload.Places(found.Committed)
	return found, nil
}

func (c client) remove(step workload.Step) (any, error) {
	names, err := step.Named()
	if err != nil {
		return nil, err
	}
	cl, err := c.open()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := waiting()
	defer cancel()
	answers, err := kadm.NewClient(cl).DeleteTopics(ctx, names...)
	if err != nil {
		return nil, err
	}
	return "deleted", answers.Error()
}

func made(topic string, record workload.Record) *kgo.Record {
	sent := &kgo.Record{
		Topic: topic, Partition: record.Partition, Key: record.KeyBytes(), Value: record.ValueBytes(), Timestamp: record.Time(),
	}
	for _, header := range record.Headers {
		sent.Headers = append(sent.Headers, kgo.RecordHeader{Key: header[0], Value: []byte(header[1])})
	}
	return sent
}

func send(ctx context.Context, cl *kgo.Client, topic string, records []workload.Record) ([][2]int64, error) {
	all := make([]*kgo.Record, len(records))
	for place, record := range records {
		all[place] = made(topic, record)
	}
	results := cl.ProduceSync(ctx, all...)
	if err := results.FirstErr(); err != nil {
		return nil, err
	}
	places := [][2]int64{}
	for _, result := range results {
		places = append(places, [2]int64{int64(result.Record.Partition), result.Record.Offset})
	}
	return workload.Places(places), nil
}

func (c client) produce(step workload.Step) (any, error) {
	codec := kgo.NoCompression()
	if step.Codec == "gzip" {
		codec = kgo.GzipCompression()
	}
	options := []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(codec),
		kgo.ProducerLinger(time.Duration(step.Linger) * time.Millisecond),
	}
	if !step.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	cl, err := c.open(options...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := waiting()
	defer cancel()
	return send(ctx, cl, step.Topic, step.Records)
}

func (c client) reader(step workload.Step) (*kgo.Client, error) {
	level := kgo.ReadUncommitted()
	if step.Isolation == "read_committed" {
		level = kgo.ReadCommitted()
	}
	return c.open(append(
		protocol(step), kgo.ConsumerGroup(step.Group), kgo.ConsumeTopics(step.Topic), kgo.DisableAutoCommit(),
		kgo.FetchIsolationLevel(level), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)...)
}

// protocol has the options that make a member speak the group protocol of the step: classic or consumer (KIP-848).
func protocol(step workload.Step) []kgo.Opt {
	if step.Protocol == "consumer" {
		return []kgo.Opt{kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())}
	}
	return []kgo.Opt{kgo.HeartbeatInterval(300 * time.Millisecond), kgo.SessionTimeout(6 * time.Second)}
}

func told(record *kgo.Record) workload.Told {
	headers := [][2]*string{}
	for _, header := range record.Headers {
		headers = append(headers, workload.Header(header.Key, header.Value))
	}
	return workload.Tell(record.Partition, record.Offset, record.Key, record.Value, headers, record.Timestamp)
}

func (c client) consume(step workload.Step) (any, error) {
	cl, err := c.reader(step)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := waiting()
	defer cancel()
	received := []workload.Told{}
	for len(received) < step.Count {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(record *kgo.Record) { received = append(received, told(record)) })
	}
	return workload.InOrder(received), cl.CommitUncommittedOffsets(ctx)
}

func (c client) transact(step workload.Step) (any, error) {
	cl, err := c.open(kgo.TransactionalID(step.ID))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := waiting()
	defer cancel()
	ends := []string{}
	for _, round := range step.Rounds {
		if err := cl.BeginTransaction(); err != nil {
			return nil, err
		}
		if _, err := send(ctx, cl, step.Topic, round.Records); err != nil {
			return nil, err
		}
		// Offsets within a transaction come with a consumer of the same client here (GroupTransactSession), and
		// so are left out.
		end, word := kgo.TryCommit, "committed"
		if round.End == "abort" {
			end, word = kgo.TryAbort, "aborted"
		}
		if err := cl.EndTransaction(ctx, end); err != nil {
			return nil, err
		}
		ends = append(ends, word)
	}
	return ends, nil
}

type member struct {
	cl    *kgo.Client
	owned atomic.Int64
	stop  context.CancelFunc
	done  sync.WaitGroup
}

func (c client) join(step workload.Step) (*member, error) {
	m := &member{}
	change := func(sign int64) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			m.owned.Add(sign * int64(len(parts[step.Topic])))
		}
	}
	cl, err := c.open(append(
		protocol(step), kgo.ConsumerGroup(step.Group), kgo.ConsumeTopics(step.Topic), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(change(1)), kgo.OnPartitionsRevoked(change(-1)), kgo.OnPartitionsLost(change(-1)),
	)...)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m.cl, m.stop = cl, stop
	m.done.Add(1)
	go func() {
		defer m.done.Done()
		for ctx.Err() == nil {
			cl.PollFetches(ctx)
		}
	}()
	return m, nil
}

func (m *member) leave() {
	m.stop()
	m.done.Wait()
	m.cl.Close()
}

// owned waits until the members own all partitions between them, each of them some; gives their number.
func owned(partitions int, members ...*member) (int, error) {
	for deadline := time.Now().Add(workload.Waiting); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		sum, each := 0, true
		for _, m := range members {
			count := int(m.owned.Load())
			sum, each = sum+count, each && count > 0
		}
		if each && sum == partitions {
			return sum, nil
		}
	}
	return 0, errors.New("the group did not settle")
}

func (c client) rebalance(step workload.Step) (any, error) {
	first, err := c.join(step)
	if err != nil {
		return nil, err
	}
	defer first.leave()
	alone, err := owned(step.Partitions, first)
	if err != nil {
		return nil, err
	}
	second, err := c.join(step)
	if err != nil {
		return nil, err
	}
	shared, err := owned(step.Partitions, first, second)
	second.leave()
	if err != nil {
		return nil, err
	}
	again, err := owned(step.Partitions, first)
	return map[string]int{"alone": alone, "shared": shared, "again": again}, err
}

func (c client) follow(step workload.Step) (any, error) {
	from := map[string]map[int32]kgo.Offset{step.Topic: {0: kgo.NewOffset().AtStart()}}
	reading, sharing := []kgo.Opt{kgo.ConsumePartitions(from)}, step.Protocol == "share"
	if sharing {
		reading = []kgo.Opt{kgo.ShareGroup(step.Group), kgo.ConsumeTopics(step.Topic)}
	}
	cl, err := c.open(reading...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := waiting()
	defer cancel()
	return step.Follow(
		func(records []workload.Record) error {
			_, err := send(ctx, cl, step.Topic, records)
			return err
		},
		func() (received []workload.Told) {
			moment, end := context.WithTimeout(ctx, 50*time.Millisecond)
			defer end()
			cl.PollFetches(moment).EachRecord(func(record *kgo.Record) {
				if sharing {
					record.Ack(kgo.AckAccept)
				}
				received = append(received, told(record))
			})
			if sharing {
				_ = cl.FlushAcks(ctx) // one that is lost has its record come again, and the test count it
			}
			return received
		},
	)
}

func (c client) refuse(step workload.Step) (any, error) {
	var attempts workload.Attempts
	options := []kgo.Opt{}
	switch step.Mode {
	case "plain":
		options = append(options, kgo.DisableIdempotentWrite())
	case "transactional":
		options = append(options, kgo.TransactionalID(step.ID))
	}
	sendOne := func(cl *kgo.Client, record workload.Record) func() error {
		return func() error {
			ctx, cancel := context.WithTimeout(context.Background(), workload.Refused)
			defer cancel()
			return cl.ProduceSync(ctx, made(step.Topic, record)).FirstErr()
		}
	}
	end := func(cl *kgo.Client, try kgo.TransactionEndTry) func() error {
		return func() error {
			ctx, cancel := context.WithTimeout(context.Background(), workload.Refused)
			defer cancel()
			return cl.EndTransaction(ctx, try)
		}
	}
	whole := func(cl *kgo.Client) func() error {
		return func() error {
			if err := cl.BeginTransaction(); err != nil {
				return err
			}
			err := sendOne(cl, step.Good)()
			if err == nil {
				err = end(cl, kgo.TryCommit)()
			}
			if err != nil {
				err = errors.Join(err, end(cl, kgo.TryAbort)())
			}
			return err
		}
	}
	cl, err := c.open(options...)
	if err != nil {
		return nil, err
	}
	fresh, err := c.open(options...)
	if err != nil {
		return nil, err
	}
	if step.Mode == "transactional" {
		attempts.Try("begin", name, cl.BeginTransaction)
	}
	attempts.Try("before", name, sendOne(cl, step.Good))
	attempts.Try("refused", name, sendOne(cl, step.Bad))
	attempts.Try("after", name, sendOne(cl, step.Good))
	if step.Mode != "transactional" {
		attempts.Try("after that", name, sendOne(cl, step.Good))
		attempts.Try("new producer", name, sendOne(fresh, step.Good))
		return attempts, nil
	}
	if !attempts.Try("commit", name, end(cl, kgo.TryCommit)) {
		attempts.Try("abort", name, end(cl, kgo.TryAbort))
	}
	attempts.Try("next transaction", name, whole(cl))
	attempts.Try("one more", name, whole(cl))
	attempts.Try("new producer", name, whole(fresh))
	return attempts, nil
}

func name(err error) string {
	var kafka *kerr.Error
	if errors.As(err, &kafka) {
		return kafka.Message
	}
	for _, own := range []error{kgo.ErrRecordTimeout, kgo.ErrAborting, kgo.ErrRecordRetries, context.DeadlineExceeded} {
		if errors.Is(err, own) {
			return own.Error()
		}
	}
	return fmt.Sprintf("%T", err)
}

// share reads as a member of a share group (KIP-932); each record is released once, and accepted when it comes again.
func (c client) share(step workload.Step) (any, error) {
	cl, err := c.open(kgo.ShareGroup(step.Group), kgo.ConsumeTopics(step.Topic))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := waiting()
	defer cancel()
	received := []workload.Told{}
	for len(received) < step.Count {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(record *kgo.Record) {
			if record.DeliveryCount() > 1 {
				record.Ack(kgo.AckAccept)
				received = append(received, told(record))
			} else {
				record.Ack(kgo.AckRelease)
			}
		})
	}
	return workload.InOrder(received), cl.FlushAcks(ctx)
}
