import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Reads message bodies with Kafka's own codecs. A line `request|response KEY VERSION HEX` is answered with the body as these
 * codecs write what they read, or with `refused` if they cannot read it or leave bytes over.
 */
public final class Oracle {
    public static void main(String[] arguments) throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ", -1);
            ApiMessageType type = ApiMessageType.fromApiKey(Short.parseShort(words[1]));
            ApiMessage message = words[0].equals("request") ? type.newRequest() : type.newResponse();
            System.out.println(written(message, Short.parseShort(words[2]), HexFormat.of().parseHex(words[3])));
            System.out.flush();
        }
    }

    private static String written(ApiMessage message, short version, byte[] body) {
        ByteBufferAccessor in = new ByteBufferAccessor(ByteBuffer.wrap(body));
        try {
            message.read(in, version);
        } catch (RuntimeException unreadable) {
            return "refused";
        }
        if (in.remaining() > 0) {
            return "refused";
        }
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer out = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(out), cache, version);
        return HexFormat.of().formatHex(out.array());
    }
}
