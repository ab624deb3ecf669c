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

/** The step `share` (KIP-932), of its own because older versions of the library have no share groups. */
public final class ShareGroup {
    private ShareGroup() {}

    /** Reads so many records; each is released once, and accepted when it comes the second time. */
    public static Object read(Map<String, Object> base, JsonNode step) throws Exception {
        Map<String, Object> settings = new HashMap<>(base);
        settings.put("group.id", step.get("group").asText());
        settings.put("share.acknowledgement.mode", "explicit");
        List<Map<String, Object>> received = new ArrayList<>();
        try (KafkaShareConsumer<byte[], byte[]> consumer =
                new KafkaShareConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(step.get("topic").asText()));
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
}
