// The client program for kafkajs; the README in the folder above says what the steps are.
'use strict'

const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { Kafka, CompressionTypes, ConfigResourceTypes, logLevel, Partitioners } = require('kafkajs')

const LARGEST_BYTES = 32 * 1024 * 1024
const REFUSED_MS = 8_000
const STEP_MS = 60_000

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

class Client {
  constructor(bootstrap) {
    this.kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING, requestTimeout: 20_000 })
  }

  async admin(use) {
    const admin = this.kafka.admin()
    await admin.connect()
    try {
      return await use(admin)
    } finally {
      await admin.disconnect()
    }
  }

  async create({ topics }) {
    await this.admin((admin) =>
      admin.createTopics({
        waitForLeaders: false,
        topics: topics.map(({ name, partitions, config }) => ({
          topic: name,
          numPartitions: partitions,
          replicationFactor: 1,
          configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
        })),
      })
    )
    return 'created'
  }

  async inspect({ topic, config, group }) {
    return this.admin(async (admin) => {
      const described = await admin.fetchTopicMetadata({ topics: [topic] })
      const configs = await admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
      })
      const offsets = await admin.fetchOffsets({ groupId: group, topics: [topic] })
      const cluster = await admin.describeCluster()
      return {
        partitions: described.topics[0].partitions.length,
        config: configs.resources[0].configEntries.find((entry) => entry.configName === config).configValue,
        committed: places(offsets[0].partitions.map(({ partition, offset }) => [partition, Number(offset)])),
        brokers: cluster.brokers.map(({ nodeId, host, port }) => [nodeId, `${host}:${port}`]),
      }
    })
  }

  async delete({ topics }) {
    await this.admin((admin) => admin.deleteTopics({ topics }))
    return 'deleted'
  }

  producer(settings) {
    return this.kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...settings })
  }

  async produce({ topic, records, acks, codec, idempotent }) {
    const producer = this.producer({ idempotent })
    await producer.connect()
    const sent = await producer.send({
      topic,
      acks: acks === 'all' ? -1 : acks,
      compression: codec === 'gzip' ? CompressionTypes.GZIP : CompressionTypes.None,
      messages: records.map(message),
    })
    await producer.disconnect()
    // The library tells the first offset of each partition; the records of one follow each other.
    const next = new Map(sent.map(({ partition, baseOffset }) => [partition, Number(baseOffset)]))
    return places(
      records.map(({ partition }) => {
        const offset = next.get(partition)
        next.set(partition, offset + 1)
        return [partition, offset]
      })
    )
  }

  consumer(group, isolation = 'read_uncommitted') {
    return this.kafka.consumer({
      groupId: group,
      readUncommitted: isolation === 'read_uncommitted',
      maxBytes: LARGEST_BYTES,
      maxBytesPerPartition: LARGEST_BYTES,
      maxWaitTimeInMs: 200,
      heartbeatInterval: 300,
      sessionTimeout: 6_000,
    })
  }

  async consume({ topic, count, group, isolation }) {
    const consumer = this.consumer(group, isolation)
    const received = []
    let enough
    const done = new Promise((resolve) => (enough = resolve))
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        received.push(told(partition, message))
        if (received.length === count) enough()
      },
    })
    await done
    const after = new Map()
    for (const { partition, offset } of received) after.set(partition, Math.max(after.get(partition) ?? 0, offset + 1))
    await consumer.commitOffsets([...after].map(([partition, offset]) => ({ topic, partition, offset: String(offset) })))
    await consumer.disconnect()
    return received.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
  }

  async transact({ topic, id, rounds }) {
    const producer = this.producer({ transactionalId: id, idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    const ends = []
    for (const { records, end, offsets } of rounds) {
      const transaction = await producer.transaction()
      await transaction.send({ topic, messages: records.map(message) })
      if (offsets) {
        const partitions = [{ partition: offsets.partition, offset: String(offsets.offset) }]
        await transaction.sendOffsets({ consumerGroupId: offsets.group, topics: [{ topic: offsets.topic, partitions }] })
      }
      if (end === 'commit') {
        await transaction.commit()
        ends.push('committed')
      } else {
        await transaction.abort()
        ends.push('aborted')
      }
    }
    await producer.disconnect()
    return ends
  }

  async member(topic, group) {
    const consumer = this.consumer(group)
    const member = { owned: 0, leave: () => consumer.disconnect() }
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      member.owned = (payload.memberAssignment[topic] ?? []).length
    })
    consumer.on(consumer.events.REBALANCING, () => (member.owned = 0))
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({ autoCommit: false, eachMessage: async () => {} })
    return member
  }

  async rebalance({ topic, group, partitions }) {
    const first = await this.member(topic, group)
    const alone = await owned(partitions, first)
    const second = await this.member(topic, group)
    const shared = await owned(partitions, first, second)
    await second.leave()
    const again = await owned(partitions, first)
    await first.leave()
    return { alone, shared, again }
  }

  async follow({ topic, group, rounds, folder }) {
    const producer = this.producer({ idempotent: true })
    const consumer = this.kafka.consumer({ groupId: group, maxWaitTimeInMs: 200 })
    const received = []
    await producer.connect()
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({ eachMessage: async ({ partition, message }) => received.push(told(partition, message)) })
    let sent = 0
    for (const [number, { records }] of rounds.entries()) {
      while (!fs.existsSync(path.join(folder, `${number}.go`))) await sleep(20)
      await producer.send({ topic, messages: records.map(message) })
      sent += records.length
      while (received.length < sent) await sleep(20)
      fs.writeFileSync(path.join(folder, `${number}.done`), '')
    }
    await consumer.disconnect()
    await producer.disconnect()
    return received.sort((a, b) => a.offset - b.offset)
  }

  async refuse({ mode, topic, good, bad, id }) {
    const outcomes = []
    const attempt = async (what, action) => {
      const outcome = await Promise.race([
        action().then(
          () => 'ok',
          (error) => error.type ?? error.name
        ),
        sleep(REFUSED_MS).then(() => 'hangs'),
      ])
      outcomes.push([what, outcome])
      return outcome === 'ok'
    }
    const open = async () => {
      const producer = this.producer({
        idempotent: mode !== 'plain',
        retry: { retries: 2 },
        ...(mode === 'transactional' ? { transactionalId: id, maxInFlightRequests: 1 } : {}),
      })
      await producer.connect()
      return producer
    }
    const send = (sender, record) => sender.send({ topic, messages: [message(record)] })
    const whole = async (sender) => {
      const transaction = await sender.transaction()
      try {
        await send(transaction, good)
        await transaction.commit()
      } catch (error) {
        await transaction.abort()
        throw error
      }
    }

    const producer = await open()
    let sender = producer
    if (mode === 'transactional') {
      await attempt('begin', async () => (sender = await producer.transaction()))
    }
    await attempt('before', () => send(sender, good))
    await attempt('refused', () => send(sender, bad))
    await attempt('after', () => send(sender, good))
    if (mode !== 'transactional') {
      await attempt('after that', () => send(sender, good))
      await attempt('new producer', async () => send(await open(), good))
      return outcomes
    }
    if (!(await attempt('commit', () => sender.commit()))) await attempt('abort', () => sender.abort())
    await attempt('next transaction', () => whole(producer))
    await attempt('one more', () => whole(producer))
    await attempt('new producer', async () => whole(await open()))
    return outcomes
  }
}

const message = ({ partition, key, value, times, headers, timestamp }) => ({
  partition,
  key,
  value: value === null ? null : value.repeat(times),
  headers: Object.fromEntries(headers),
  timestamp: String(timestamp),
})

const told = (partition, { offset, key, value, headers, timestamp }) => ({
  partition,
  offset: Number(offset),
  key: key === null ? null : key.toString(),
  size: value === null ? null : value.length,
  sha256: value === null ? null : crypto.createHash('sha256').update(value).digest('hex'),
  headers: Object.entries(headers).map(([name, content]) => [name, content.toString()]),
  timestamp: Number(timestamp),
})

const places = (pairs) => pairs.sort((a, b) => a[0] - b[0] || a[1] - b[1])

// Waits until the members own all partitions between them, each of them some; gives their number.
async function owned(partitions, ...members) {
  for (const deadline = Date.now() + STEP_MS; Date.now() < deadline; await sleep(50)) {
    const sum = members.reduce((count, member) => count + member.owned, 0)
    if (sum === partitions && members.every((member) => member.owned > 0)) return sum
  }
  throw new Error('the group did not settle')
}

async function main() {
  const chunks = []
  for await (const chunk of process.stdin) chunks.push(chunk)
  const { bootstrap, steps } = JSON.parse(Buffer.concat(chunks))
  const client = new Client(bootstrap)
  for (const { do: what, ...fields } of steps) {
    process.stdout.write(JSON.stringify({ result: await client[what](fields) }) + '\n')
  }
}

main().then(
  () => process.exit(0), // producers that a refusal left hanging are not waited for
  (error) => {
    console.error(error)
    process.exit(1)
  }
)
