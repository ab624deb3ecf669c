// The client program for sarama.
package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"wiremask.dev/clients/workload"
)

type client struct{ bootstrap []string }

func main() {
	workload.Main(func(bootstrap string) map[string]func(workload.Step) (any, error) {
		c := client{[]string{bootstrap}}
		return map[string]func(workload.Step) (any, error){
			"create": c.create, "inspect": c.inspect, "delete": c.remove, "produce": c.produce, "consume": c.consume,
			"transact": c.transact, "rebalance": c.rebalance, "refuse": c.refuse, "follow": c.follow,
		}
	})
}

func settings() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.Return.Errors = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.MaxMessageBytes = workload.LargestBytes
	config.Consumer.Fetch.Default = workload.LargestBytes
	config.Consumer.MaxWaitTime = 200 * time.Millisecond
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	config.Consumer.Group.Session.Timeout = 6 * time.Second
	return config
}

func transactional(id string) *sarama.Config {
	config := settings()
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	config.Producer.Transaction.ID = id
	return config
}

func (c client) create(step workload.Step) (any, error) {
	topics, err := step.Made()
	if err != nil {
		return nil, err
	}
	admin, err := sarama.NewClusterAdmin(c.bootstrap, settings())
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	for _, topic := range topics {
		entries := map[string]*string{}
		for name, value := range topic.Config {
			entries[name] = &value
		}
		detail := &sarama.TopicDetail{NumPartitions: topic.Partitions, ReplicationFactor: 1, ConfigEntries: entries}
		if err := admin.CreateTopic(topic.Name, detail, false); err != nil {
			return nil, err
		}
	}
	return "created", nil
}

func (c client) inspect(step workload.Step) (any, error) {
	admin, err := sarama.NewClusterAdmin(c.bootstrap, settings())
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	found := workload.Inspection{}
	described, err := admin.DescribeTopics([]string{step.Topic})
	if err != nil {
		return nil, err
	}
	found.Partitions = len(described[0].Partitions)
	entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: step.Topic})
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.Name == step.Config {
			found.Config = entry.Value
		}
	}
	offsets, err := admin.ListConsumerGroupOffsets(step.Group, nil)
	if err != nil {
		return nil, err
	}
	for partition, kept := range offsets.Blocks[step.Topic] {
		found.Committed = append(found.Committed, [2]int64{int64(partition), kept.Offset})
	}
	workload.Places(found.Committed)
	brokers, _, err := admin.DescribeCluster()
	if err != nil {
		return nil, err
	}
	for _, broker := range brokers {
		found.Brokers = append(found.Brokers, [2]any{broker.ID(), broker.Addr()})
	}
	return found, nil
}

func (c client) remove(step workload.Step) (any, error) {
	names, err := step.Named()
	if err != nil {
		return nil, err
	}
	admin, err := sarama.NewClusterAdmin(c.bootstrap, settings())
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	for _, name := range names {
		if err := admin.DeleteTopic(name); err != nil {
			return nil, err
		}
	}
	return "deleted", nil
}

func made(topic string, record workload.Record) *sarama.ProducerMessage {
	sent := &sarama.ProducerMessage{Topic: topic, Partition: record.Partition, Timestamp: record.Time()}
	if key := record.KeyBytes(); key != nil {
		sent.Key = sarama.ByteEncoder(key)
	}
	if value := record.ValueBytes(); value != nil {
		sent.Value = sarama.ByteEncoder(value)
	}
	for _, header := range record.Headers {
		sent.Headers = append(sent.Headers, sarama.RecordHeader{Key: []byte(header[0]), Value: []byte(header[1])})
	}
	return sent
}

func send(producer sarama.SyncProducer, topic string, records []workload.Record) ([][2]int64, error) {
	all := make([]*sarama.ProducerMessage, len(records))
	for place, record := range records {
		all[place] = made(topic, record)
	}
	if err := producer.SendMessages(all); err != nil {
		return nil, err
	}
	places := [][2]int64{}
	for _, message := range all {
		places = append(places, [2]int64{int64(message.Partition), message.Offset})
	}
	return workload.Places(places), nil
}

func (c client) produce(step workload.Step) (any, error) {
	config := settings()
	if step.Codec == "gzip" {
		config.Producer.Compression = sarama.CompressionGZIP
	}
	if step.Idempotent {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
	}
	config.Producer.Flush.Frequency = time.Duration(step.Linger) * time.Millisecond
	config.Producer.Flush.Messages = len(step.Records)
	producer, err := sarama.NewSyncProducer(c.bootstrap, config)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	return send(producer, step.Topic, step.Records)
}

// reading is a member of a group: what it owns, and where its records go.
type reading struct {
	lock     sync.Mutex
	owned    int
	received []workload.Told
	enough   func(int) bool
	stop     context.CancelFunc
}

func (r *reading) Setup(session sarama.ConsumerGroupSession) error {
	r.lock.Lock()
	defer r.lock.Unlock()
	for _, partitions := range session.Claims() {
		r.owned += len(partitions)
	}
	return nil
}

func (r *reading) Cleanup(sarama.ConsumerGroupSession) error {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.owned = 0
	return nil
}

func (r *reading) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			session.MarkMessage(message, "")
			r.lock.Lock()
			r.received = append(r.received, told(message))
			if r.enough(len(r.received)) {
				session.Commit()
				r.stop()
			}
			r.lock.Unlock()
		case <-session.Context().Done():
			return nil
		}
	}
}

func told(message *sarama.ConsumerMessage) workload.Told {
	headers := [][2]*string{}
	for _, header := range message.Headers {
		headers = append(headers, workload.Header(string(header.Key), header.Value))
	}
	return workload.Tell(message.Partition, message.Offset, message.Key, message.Value, headers, message.Timestamp)
}

func (c client) join(step workload.Step, enough func(int) bool) (*reading, func() error, error) {
	config := settings()
	if step.Isolation == "read_committed" {
		config.Consumer.IsolationLevel = sarama.ReadCommitted
	}
	group, err := sarama.NewConsumerGroup(c.bootstrap, step.Group, config)
	if err != nil {
		return nil, nil, err
	}
	ctx, stop := context.WithTimeout(context.Background(), workload.Waiting)
	r := &reading{enough: enough, stop: stop}
	ended := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := group.Consume(ctx, []string{step.Topic}, r); err != nil && ctx.Err() == nil {
				ended <- err
				return
			}
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			ended <- ctx.Err()
			return
		}
		ended <- nil
	}()
	return r, func() error {
		err := <-ended
		return errors.Join(err, group.Close())
	}, nil
}

func (c client) consume(step workload.Step) (any, error) {
	r, wait, err := c.join(step, func(count int) bool { return count == step.Count })
	if err != nil {
		return nil, err
	}
	if err := wait(); err != nil {
		return nil, err
	}
	return workload.InOrder(r.received), nil
}

func (c client) transact(step workload.Step) (any, error) {
	producer, err := sarama.NewSyncProducer(c.bootstrap, transactional(step.ID))
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	ends := []string{}
	for _, round := range step.Rounds {
		if err := producer.BeginTxn(); err != nil {
			return nil, err
		}
		if _, err := send(producer, step.Topic, round.Records); err != nil {
			return nil, err
		}
		if kept := round.Offsets; kept != nil {
			where := &sarama.PartitionOffsetMetadata{Partition: kept.Partition, Offset: kept.Offset, LeaderEpoch: -1}
			offsets := map[string][]*sarama.PartitionOffsetMetadata{kept.Topic: {where}}
			if err := producer.AddOffsetsToTxn(offsets, kept.Group); err != nil {
				return nil, err
			}
		}
		end, word := producer.CommitTxn, "committed"
		if round.End == "abort" {
			end, word = producer.AbortTxn, "aborted"
		}
		if err := end(); err != nil {
			return nil, err
		}
		ends = append(ends, word)
	}
	return ends, nil
}

// owned waits until the members own all partitions between them, each of them some; gives their number.
func owned(partitions int, members ...*reading) (int, error) {
	for deadline := time.Now().Add(workload.Waiting); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		sum, each := 0, true
		for _, r := range members {
			r.lock.Lock()
			sum, each = sum+r.owned, each && r.owned > 0
			r.lock.Unlock()
		}
		if each && sum == partitions {
			return sum, nil
		}
	}
	return 0, errors.New("the group did not settle")
}

func (c client) rebalance(step workload.Step) (any, error) {
	never := func(int) bool { return false }
	first, firstEnded, err := c.join(step, never)
	if err != nil {
		return nil, err
	}
	alone, err := owned(step.Partitions, first)
	if err != nil {
		return nil, err
	}
	second, secondEnded, err := c.join(step, never)
	if err != nil {
		return nil, err
	}
	shared, err := owned(step.Partitions, first, second)
	if err != nil {
		return nil, err
	}
	second.stop()
	if err := secondEnded(); err != nil {
		return nil, err
	}
	again, err := owned(step.Partitions, first)
	if err != nil {
		return nil, err
	}
	first.stop()
	return map[string]int{"alone": alone, "shared": shared, "again": again}, firstEnded()
}

func (c client) follow(step workload.Step) (any, error) {
	config := settings()
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	producer, err := sarama.NewSyncProducer(c.bootstrap, config)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	consumer, err := sarama.NewConsumer(c.bootstrap, config)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	reader, err := consumer.ConsumePartition(step.Topic, 0, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	return step.Follow(
		func(records []workload.Record) error {
			_, err := send(producer, step.Topic, records)
			return err
		},
		func() []workload.Told {
			select {
			case message := <-reader.Messages():
				return []workload.Told{told(message)}
			case <-time.After(50 * time.Millisecond):
				return nil
			}
		},
	)
}

func (c client) refuse(step workload.Step) (any, error) {
	var attempts workload.Attempts
	open := func() (sarama.SyncProducer, error) {
		config := settings()
		switch step.Mode {
		case "idempotent":
			config.Producer.Idempotent = true
			config.Net.MaxOpenRequests = 1
		case "transactional":
			config = transactional(step.ID)
		}
		return sarama.NewSyncProducer(c.bootstrap, config)
	}
	sendOne := func(producer sarama.SyncProducer, record workload.Record) func() error {
		return func() error {
			_, _, err := producer.SendMessage(made(step.Topic, record))
			return err
		}
	}
	whole := func(producer sarama.SyncProducer) func() error {
		return func() error {
			if err := producer.BeginTxn(); err != nil {
				return err
			}
			err := sendOne(producer, step.Good)()
			if err == nil {
				err = producer.CommitTxn()
			}
			if err != nil {
				err = errors.Join(err, producer.AbortTxn())
			}
			return err
		}
	}
	producer, err := open()
	if err != nil {
		return nil, err
	}
	if step.Mode == "transactional" {
		attempts.Try("begin", name, producer.BeginTxn)
	}
	attempts.Try("before", name, sendOne(producer, step.Good))
	attempts.Try("refused", name, sendOne(producer, step.Bad))
	attempts.Try("after", name, sendOne(producer, step.Good))
	if step.Mode != "transactional" {
		attempts.Try("after that", name, sendOne(producer, step.Good))
		attempts.Try("new producer", name, func() error {
			fresh, err := open()
			if err != nil {
				return err
			}
			return sendOne(fresh, step.Good)()
		})
		return attempts, nil
	}
	if !attempts.Try("commit", name, producer.CommitTxn) {
		attempts.Try("abort", name, producer.AbortTxn)
	}
	attempts.Try("next transaction", name, whole(producer))
	attempts.Try("one more", name, whole(producer))
	attempts.Try("new producer", name, func() error {
		fresh, err := open()
		if err != nil {
			return err
		}
		return whole(fresh)()
	})
	return attempts, nil
}

func name(err error) string {
	var kafka sarama.KError
	if errors.As(err, &kafka) {
		return fmt.Sprintf("code %d", int16(kafka))
	}
	for _, own := range []error{sarama.ErrTransactionNotReady, sarama.ErrNonTransactedProducer, sarama.ErrOutOfBrokers} {
		if errors.Is(err, own) {
			return own.Error()
		}
	}
	return fmt.Sprintf("%T", err)
}
