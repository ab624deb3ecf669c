import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** The steps `share` and `follow` in a share group (KIP-932), of their own because older versions of the library have none. */
public final class ShareGroup {
    private ShareGroup() {}

    /** Reads so many records; each is released once, and accepted when it comes the second time. */
    public static Object read(Map<String, Object> base, JsonNode step) throws Exception {
        List<Map<String, Object>> received = new ArrayList<>();
        try (KafkaShareConsumer<byte[], byte[]> consumer = member(base, step)) {
            while (received.size() < step.get("count").asInt()) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    boolean again = record.deliveryCount().orElse((short) 0) > 1;
                    consumer.acknowledge(record, again ? AcknowledgeType.ACCEPT : AcknowledgeType.RELEASE);
                    if (again) {
                        received.add(Client.told(record));
                    }
                }
                consumer.commitSync();
            }
        }
        return Client.inOrder(received);
    }

    /** Reads and accepts what comes, round by round. */
    public static Object follow(Map<String, Object> base, JsonNode step) throws Exception {
        try (KafkaShareConsumer<byte[], byte[]> consumer = member(base, step)) {
            return Client.follow(base, step, received -> {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(50))) {
                    consumer.acknowledge(record, AcknowledgeType.ACCEPT);
                    received.add(Client.told(record));
                }
                consumer.commitSync();
            });
        }
    }

    private static KafkaShareConsumer<byte[], byte[]> member(Map<String, Object> base, JsonNode step) {
        Map<String, Object> settings = new HashMap<>(base);
        settings.put("group.id", step.get("group").asText());
        settings.put("share.acknowledgement.mode", "explicit");
        KafkaShareConsumer<byte[], byte[]> consumer =
            new KafkaShareConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        consumer.subscribe(List.of(step.get("topic").asText()));
        return consumer;
    }
}
