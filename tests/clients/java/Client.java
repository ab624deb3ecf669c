import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The client program for kafka-clients; the README beside this folder says what the steps are. */
public final class Client {
    static final ObjectMapper JSON = new ObjectMapper();
    static final int LARGEST_BYTES = 32 * 1024 * 1024;
    static final int REFUSED_MS = 8_000;

    private final String bootstrap;

    private final Map<String, Object> settings = new HashMap<>();

    private Client(JsonNode specification) {
        this.bootstrap = specification.get("bootstrap").asText();
        specification.path("settings").fields().forEachRemaining(entry -> settings.put(entry.getKey(), entry.getValue().asText()));
    }

    public static void main(String[] arguments) throws Exception {
        JsonNode specification = JSON.readTree(System.in);
        Client client = new Client(specification);
        for (JsonNode step : specification.get("steps")) {
            System.out.println(JSON.writeValueAsString(Map.of("result", client.take(step))));
            System.out.flush();
        }
        System.exit(0); // producers that a refusal left hanging are not waited for
    }

    private Object take(JsonNode step) throws Exception {
        return switch (step.get("do").asText()) {
            case "create" -> create(step);
            case "inspect" -> inspect(step);
            case "delete" -> delete(step);
            case "produce" -> produce(step);
            case "consume" -> consume(step);
            case "transact" -> transact(step);
            case "rebalance" -> rebalance(step);
            case "follow" -> step.get("protocol").asText().equals("share") ? share("follow", step) : follow(step);
            case "mix" -> mix(step);
            case "refuse" -> refuse(step);
            case "share" -> share("read", step);
            default -> throw new IllegalArgumentException(step.get("do").asText());
        };
    }

    /** Share groups are not in every version of the library: found by name. */
    private Object share(String method, JsonNode step) throws Exception {
        return Class.forName("ShareGroup").getMethod(method, Map.class, JsonNode.class).invoke(null, base(), step);
    }

    private Object create(JsonNode step) throws Exception {
        List<NewTopic> topics = new ArrayList<>();
        for (JsonNode topic : step.get("topics")) {
            Map<String, String> settings = new HashMap<>();
            topic.get("config").fields().forEachRemaining(entry -> settings.put(entry.getKey(), entry.getValue().asText()));
            topics.add(new NewTopic(topic.get("name").asText(), topic.get("partitions").asInt(), (short) 1).configs(settings));
        }
        try (Admin admin = Admin.create(base())) {
            admin.createTopics(topics).all().get();
        }
        return "created";
    }

    private Object inspect(JsonNode step) throws Exception {
        String topic = step.get("topic").asText();
        Map<String, Object> found = new LinkedHashMap<>();
        try (Admin admin = Admin.create(base())) {
            found.put("partitions", admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size());
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            found.put("config", admin.describeConfigs(List.of(resource)).all().get().get(resource).get(step.get("config").asText()).value());
            List<List<Object>> committed = new ArrayList<>();
            admin.listConsumerGroupOffsets(step.get("group").asText()).partitionsToOffsetAndMetadata().get()
                .forEach((partition, kept) -> committed.add(List.of(partition.partition(), kept.offset())));
            committed.sort(Comparator.comparing(pair -> (Integer) pair.get(0)));
            found.put("committed", committed);
            List<List<Object>> brokers = new ArrayList<>();
            admin.describeCluster().nodes().get().forEach(node -> brokers.add(List.of(node.id(), node.host() + ":" + node.port())));
            found.put("brokers", brokers);
        }
        return found;
    }

    private Object delete(JsonNode step) throws Exception {
        try (Admin admin = Admin.create(base())) {
            admin.deleteTopics(names(step.get("topics"))).all().get();
        }
        return "deleted";
    }

    private Object produce(JsonNode step) throws Exception {
        Map<String, Object> settings = base();
        settings.put("acks", step.get("acks").asText());
        settings.put("compression.type", step.get("codec").asText());
        settings.put("enable.idempotence", step.get("idempotent").asBoolean());
        settings.put("linger.ms", step.get("linger").asInt());
        List<List<Long>> places = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer(settings)) {
            // Metadata before the clock of the first record starts, so that all of them go at once.
            producer.partitionsFor(step.get("topic").asText());
            for (Future<RecordMetadata> sent : send(producer, step.get("topic").asText(), step.get("records"))) {
                places.add(List.of((long) sent.get().partition(), sent.get().offset()));
            }
        }
        places.sort(Comparator.<List<Long>>comparingLong(place -> place.get(0)).thenComparingLong(place -> place.get(1)));
        return places;
    }

    private Object consume(JsonNode step) throws Exception {
        List<Map<String, Object>> received = new ArrayList<>();
        int count = step.get("count").asInt();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(step)) {
            while (received.size() < count) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    received.add(told(record));
                }
            }
            consumer.commitSync();
        }
        return inOrder(received);
    }

    private Object transact(JsonNode step) throws Exception {
        List<String> ends = new ArrayList<>();
        Map<String, Object> settings = base();
        settings.put("transactional.id", step.get("id").asText());
        try (KafkaProducer<byte[], byte[]> producer = producer(settings)) {
            producer.initTransactions();
            for (JsonNode round : step.get("rounds")) {
                producer.beginTransaction();
                for (Future<RecordMetadata> sent : send(producer, step.get("topic").asText(), round.get("records"))) {
                    sent.get();
                }
                JsonNode offsets = round.get("offsets");
                if (offsets != null) {
                    TopicPartition where = new TopicPartition(offsets.get("topic").asText(), offsets.get("partition").asInt());
                    producer.sendOffsetsToTransaction(
                        Map.of(where, new OffsetAndMetadata(offsets.get("offset").asLong())),
                        new ConsumerGroupMetadata(offsets.get("group").asText()));
                }
                if (round.get("end").asText().equals("commit")) {
                    producer.commitTransaction();
                    ends.add("committed");
                } else {
                    producer.abortTransaction();
                    ends.add("aborted");
                }
            }
        }
        return ends;
    }

    private Object rebalance(JsonNode step) throws Exception {
        int partitions = step.get("partitions").asInt();
        Map<String, Integer> owned = new LinkedHashMap<>();
        try (KafkaConsumer<byte[], byte[]> first = consumer(step)) {
            owned.put("alone", owned(partitions, List.of(first)));
            try (KafkaConsumer<byte[], byte[]> second = consumer(step)) {
                owned.put("shared", owned(partitions, List.of(first, second)));
            }
            owned.put("again", owned(partitions, List.of(first)));
        }
        return owned;
    }

    /** Polls until the members own all partitions between them, each of them some; gives their number. */
    private static int owned(int partitions, List<KafkaConsumer<byte[], byte[]>> members) {
        while (true) {
            int sum = 0;
            boolean each = true;
            for (KafkaConsumer<byte[], byte[]> member : members) {
                member.poll(Duration.ofMillis(100));
            }
            for (KafkaConsumer<byte[], byte[]> member : members) {
                sum += member.assignment().size();
                each &= !member.assignment().isEmpty();
            }
            if (each && sum == partitions) {
                return sum;
            }
        }
    }

    private Object follow(JsonNode step) throws Exception {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(step)) {
            consumer.unsubscribe();
            consumer.assign(List.of(new TopicPartition(step.get("topic").asText(), 0)));
            return follow(base(), step, received -> {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(50))) {
                    received.add(told(record));
                }
            });
        }
    }

    /** Adds what came within a moment. */
    interface Receiver {
        void receive(List<Map<String, Object>> received) throws Exception;
    }

    static Object follow(Map<String, Object> base, JsonNode step, Receiver receiver) throws Exception {
        Path folder = Path.of(step.get("folder").asText());
        List<Map<String, Object>> received = new ArrayList<>();
        int sent = 0;
        int number = 0;
        try (KafkaProducer<byte[], byte[]> producer = producer(base)) {
            for (JsonNode round : step.get("rounds")) {
                while (!Files.exists(folder.resolve(number + ".go"))) {
                    receiver.receive(received);
                }
                for (Future<RecordMetadata> one : send(producer, step.get("topic").asText(), round.get("records"))) {
                    one.get();
                    sent++;
                }
                while (received.size() < sent) {
                    receiver.receive(received);
                }
                Files.createFile(folder.resolve(number++ + ".done"));
            }
        }
        return inOrder(received);
    }

    private Object mix(JsonNode step) throws Exception {
        Map<String, Object> settings = base();
        settings.put("enable.idempotence", false);
        settings.put("linger.ms", 500);
        List<List<String>> outcomes = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer(settings)) {
            producer.partitionsFor(step.get("topic").asText());
            for (Future<RecordMetadata> sent : send(producer, step.get("topic").asText(), step.get("records"))) {
                try {
                    sent.get();
                    outcomes.add(List.of("ok", ""));
                } catch (ExecutionException error) {
                    outcomes.add(List.of(error.getCause().getClass().getSimpleName(), error.getCause().getMessage()));
                }
            }
        }
        return outcomes;
    }

    private Object refuse(JsonNode step) throws Exception {
        String topic = step.get("topic").asText();
        String mode = step.get("mode").asText();
        JsonNode good = step.get("good");
        JsonNode bad = step.get("bad");
        Map<String, Object> settings = base();
        settings.put("enable.idempotence", !mode.equals("plain"));
        settings.put("linger.ms", 0);
        settings.put("request.timeout.ms", 5_000);
        settings.put("delivery.timeout.ms", REFUSED_MS);
        settings.put("max.block.ms", REFUSED_MS);
        List<List<String>> outcomes = new ArrayList<>();
        if (!mode.equals("transactional")) {
            KafkaProducer<byte[], byte[]> producer = producer(settings);
            attempt(outcomes, "before", () -> sendOne(producer, topic, good));
            attempt(outcomes, "refused", () -> sendOne(producer, topic, bad));
            attempt(outcomes, "after", () -> sendOne(producer, topic, good));
            attempt(outcomes, "after that", () -> sendOne(producer, topic, good));
            KafkaProducer<byte[], byte[]> fresh = producer(settings);
            attempt(outcomes, "new producer", () -> sendOne(fresh, topic, good));
            return outcomes;
        }
        settings.put("transactional.id", step.get("id").asText());
        settings.put("transaction.timeout.ms", REFUSED_MS);
        KafkaProducer<byte[], byte[]> producer = producer(settings);
        producer.initTransactions();
        attempt(outcomes, "begin", producer::beginTransaction);
        attempt(outcomes, "before", () -> sendOne(producer, topic, good));
        attempt(outcomes, "refused", () -> sendOne(producer, topic, bad));
        attempt(outcomes, "after", () -> sendOne(producer, topic, good));
        if (!attempt(outcomes, "commit", producer::commitTransaction)) {
            attempt(outcomes, "abort", producer::abortTransaction);
        }
        attempt(outcomes, "next transaction", () -> whole(producer, topic, good));
        attempt(outcomes, "one more", () -> whole(producer, topic, good));
        attempt(outcomes, "new producer", () -> {
            KafkaProducer<byte[], byte[]> fresh = producer(settings);
            fresh.initTransactions();
            whole(fresh, topic, good);
        });
        return outcomes;
    }

    private interface Action {
        void act() throws Exception;
    }

    private static boolean attempt(List<List<String>> outcomes, String what, Action action) {
        String outcome = "ok";
        try {
            action.act();
        } catch (Exception error) {
            // The first cause: whether a later call throws that or a KafkaException around it is a race within the library.
            Throwable first = error;
            while (first.getCause() != null) {
                first = first.getCause();
            }
            outcome = first.getClass().getSimpleName();
        }
        outcomes.add(List.of(what, outcome));
        return outcome.equals("ok");
    }

    private static void whole(KafkaProducer<byte[], byte[]> producer, String topic, JsonNode record) throws Exception {
        producer.beginTransaction();
        try {
            sendOne(producer, topic, record);
            producer.commitTransaction();
        } catch (Exception error) {
            producer.abortTransaction();
            throw error;
        }
    }

    private static void sendOne(KafkaProducer<byte[], byte[]> producer, String topic, JsonNode record) throws Exception {
        producer.send(made(topic, record)).get(REFUSED_MS + 2_000, TimeUnit.MILLISECONDS);
    }

    private static List<Future<RecordMetadata>> send(KafkaProducer<byte[], byte[]> producer, String topic, JsonNode records) {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (JsonNode record : records) {
            sent.add(producer.send(made(topic, record)));
        }
        return sent;
    }

    private static ProducerRecord<byte[], byte[]> made(String topic, JsonNode record) {
        List<Header> headers = new ArrayList<>();
        for (JsonNode header : record.get("headers")) {
            headers.add(new RecordHeader(header.get(0).asText(), bytes(header.get(1), 1)));
        }
        return new ProducerRecord<>(
            topic, record.get("partition").asInt(), record.get("timestamp").asLong(),
            bytes(record.get("key"), 1), bytes(record.get("value"), record.get("times").asInt()), headers);
    }

    private static byte[] bytes(JsonNode text, int times) {
        return text.isNull() ? null : text.asText().repeat(times).getBytes(StandardCharsets.UTF_8);
    }

    static Map<String, Object> told(ConsumerRecord<byte[], byte[]> record) throws Exception {
        List<List<String>> headers = new ArrayList<>();
        for (Header header : record.headers()) {
            headers.add(List.of(header.key(), new String(header.value(), StandardCharsets.UTF_8)));
        }
        byte[] value = record.value();
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("partition", record.partition());
        told.put("offset", record.offset());
        told.put("key", Optional.ofNullable(record.key()).map(key -> new String(key, StandardCharsets.UTF_8)).orElse(null));
        told.put("size", value == null ? null : value.length);
        told.put("sha256", value == null ? null : HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(value)));
        told.put("headers", headers);
        told.put("timestamp", record.timestamp());
        return told;
    }

    static List<Map<String, Object>> inOrder(List<Map<String, Object>> records) {
        records.sort(Comparator.<Map<String, Object>>comparingInt(record -> (Integer) record.get("partition"))
            .thenComparingLong(record -> (Long) record.get("offset")));
        return records;
    }

    private static List<String> names(JsonNode array) {
        List<String> names = new ArrayList<>();
        array.forEach(name -> names.add(name.asText()));
        return names;
    }

    private Map<String, Object> base() {
        Map<String, Object> base = new HashMap<>(settings);
        base.put("bootstrap.servers", bootstrap);
        return base;
    }

    private static KafkaProducer<byte[], byte[]> producer(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(settings);
        all.put("max.request.size", LARGEST_BYTES);
        all.put("buffer.memory", LARGEST_BYTES);
        return new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private KafkaConsumer<byte[], byte[]> consumer(JsonNode step) {
        Map<String, Object> settings = base();
        settings.put("group.id", step.get("group").asText());
        settings.put("group.protocol", step.get("protocol").asText());
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", false);
        settings.put("fetch.max.bytes", LARGEST_BYTES);
        settings.put("max.partition.fetch.bytes", LARGEST_BYTES);
        settings.put("isolation.level", step.has("isolation") ? step.get("isolation").asText() : "read_uncommitted");
        if (step.get("protocol").asText().equals("classic")) { // the other protocol's times are the broker's to say
            settings.put("heartbeat.interval.ms", 300);
            settings.put("session.timeout.ms", 6_000);
        }
        KafkaConsumer<byte[], byte[]> consumer =
            new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        consumer.subscribe(List.of(step.get("topic").asText()));
        return consumer;
    }
}
