package llmopt;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.time.Instant;
import java.util.Locale;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.WindowedSerdes;
import org.apache.kafka.streams.state.WindowStore;

/** BOOTSTRAP INPUT OUTPUT APPLICATION DIRECTORY CALLS WARM-UP COMMIT-MS: windows of one minute by key; one JSON line. */
public final class Windows {
    private static final Duration LENGTH = Duration.ofMinutes(1);
    private static final Duration LATENESS = Duration.ofSeconds(5);

    private final long calls;
    private final long warmUp;
    private long counted;
    private long beganAt;
    private Duration beganCpu;

    private Windows(long calls, long warmUp) {
        this.calls = calls;
        this.warmUp = warmUp;
    }

    public static void main(String[] told) {
        Windows windows = new Windows(Long.parseLong(told[5]), Long.parseLong(told[6]));
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, told[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, told[3]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, told[4]);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, told[7]);
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        KafkaStreams streams = new KafkaStreams(windows.topology(told[1], told[2]), settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        streams.start();
    }

    private Topology topology(String input, String output) {
        StreamsBuilder builder = new StreamsBuilder();
        Consumed<String, Call> read = Consumed.with(Serdes.String(), reading())
                .withTimestampExtractor((record, partitionTime) ->
                        Instant.parse(((Call) record.value()).time()).toEpochMilli());
        builder.stream(input, read)
                .filter((key, event) -> Call.TYPE.equals(event.type()))
                .groupByKey(Grouped.with(Serdes.String(), reading()))
                .windowedBy(TimeWindows.ofSizeAndGrace(LENGTH, LATENESS))
                .aggregate(
                        Sums::new,
                        (key, call, sums) -> counted(sums.add(call.data())),
                        Materialized.<String, Sums, WindowStore<Bytes, byte[]>>as("windows")
                                .withKeySerde(Serdes.String())
                                .withValueSerde(Sums.serde()))
                .toStream()
                .to(output, Produced.with(
                        WindowedSerdes.timeWindowedSerdeFrom(String.class, LENGTH.toMillis()), Sums.serde()));
        return builder.build();
    }

    /** One stream thread runs all tasks: the counters need no lock. */
    private Sums counted(Sums sums) {
        if (counted == warmUp) {
            beganAt = System.nanoTime();
            beganCpu = cpu();
        }
        if (++counted == calls) {
            double seconds = (System.nanoTime() - beganAt) / 1e9;
            double cpuSeconds = cpu().minus(beganCpu).toNanos() / 1e9;
            long measured = calls - warmUp;
            System.out.printf(
                    Locale.ROOT,
                    "{\"what\": \"kafka-streams\", \"events_per_s\": %f, \"cpu_s_per_million\": %f, \"n\": %d}%n",
                    measured / seconds, cpuSeconds / measured * 1e6, measured);
            System.out.flush();
            Runtime.getRuntime().halt(0);
        }
        return sums;
    }

    private static Duration cpu() {
        return ProcessHandle.current().info().totalCpuDuration().orElseThrow();
    }

    private static Serde<Call> reading() {
        ObjectReader reader = new ObjectMapper().readerFor(Call.class);
        Deserializer<Call> deserializer = (topic, bytes) -> {
            try {
                return reader.readValue(bytes);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        };
        return Serdes.serdeFrom((topic, call) -> null, deserializer);
    }
}
