package llmopt;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;

/** A window of one target and variant: counts, integer sums, latencies in buckets of 2 %. */
final class Sums {
    private static final double LOG_GAMMA = Math.log(101.0 / 99.0);
    private static final int LONGS = 8;

    private final long[] sums;
    /** Bucket of the first count. */
    private int base;
    private int[] counts;

    Sums() {
        this(new long[LONGS], 0, new int[0]);
    }

    private Sums(long[] sums, int base, int[] counts) {
        this.sums = sums;
        this.base = base;
        this.counts = counts;
    }

    Sums add(Call.Data call) {
        long cost = Math.round(call.costUsd() * 1e9);
        sums[0] += 1;
        sums[1] += cost;
        sums[2] += cost * cost;
        sums[3] += call.inputTokens();
        sums[4] += call.outputTokens();
        if (call.quality() != null) {
            long score = Math.round(call.quality().score() * 1e6);
            sums[5] += 1;
            sums[6] += score;
            sums[7] += score * score;
        }
        count((int) Math.ceil(Math.log(Math.max(1.0, call.latencyMs() * 1000)) / LOG_GAMMA));
        return this;
    }

    /** The counts lie densely: the cheapest to write and to read, which is done for every call. */
    private void count(int bucket) {
        if (counts.length == 0) {
            base = bucket;
            counts = new int[1];
        } else if (bucket < base) {
            int[] wider = new int[counts.length + base - bucket];
            System.arraycopy(counts, 0, wider, base - bucket, counts.length);
            base = bucket;
            counts = wider;
        } else if (bucket >= base + counts.length) {
            counts = Arrays.copyOf(counts, bucket - base + 1);
        }
        counts[bucket - base]++;
    }

    static Serde<Sums> serde() {
        Serializer<Sums> writer = (topic, sums) -> {
            if (sums == null) {
                return null;
            }
            ByteBuffer buffer = ByteBuffer.allocate(8 * LONGS + 4 + 4 * sums.counts.length);
            buffer.asLongBuffer().put(sums.sums);
            buffer.position(8 * LONGS);
            buffer.putInt(sums.base);
            buffer.asIntBuffer().put(sums.counts);
            return buffer.array();
        };
        Deserializer<Sums> reader = (topic, bytes) -> {
            if (bytes == null) {
                return null;
            }
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            long[] sums = new long[LONGS];
            buffer.asLongBuffer().get(sums);
            buffer.position(8 * LONGS);
            int base = buffer.getInt();
            int[] counts = new int[buffer.remaining() / 4];
            buffer.asIntBuffer().get(counts);
            return new Sums(sums, base, counts);
        };
        return Serdes.serdeFrom(writer, reader);
    }
}
