package llmopt;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;

/** What is read of a record of `metrics`; data is that of a call. */
@JsonIgnoreProperties(ignoreUnknown = true)
record Call(String type, String time, Data data) {
    static final String TYPE = "llmopt.call.v1";

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Data(
            @JsonProperty("latency_ms") double latencyMs,
            @JsonProperty("cost_usd") double costUsd,
            @JsonProperty("input_tokens") long inputTokens,
            @JsonProperty("output_tokens") long outputTokens,
            Quality quality) {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Quality(double score) {}
}
