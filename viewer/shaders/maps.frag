// One frame's maps, pixel by pixel of the grid: what every panel needs, so that it is worked out once.
//
// shown.r  B-mode level in dB below the reference, floored where black begins
// shown.g  velocity (m/s)
// shown.b  wrapped velocity (m/s) inside [baseline - v_N, baseline + v_N): what a scanner shows under that baseline
// shown.a  1 where color may be drawn, else 0
// extra.r  fold, extra.g  confidence, extra.b  |R1| / R0
out vec4 shown;
out vec4 extra;

uniform sampler2D envelope;
uniform sampler2D velocity;
uniform sampler2D wrapped;
uniform isampler2D fold;
uniform sampler2D confidence;
uniform usampler2D mask;
uniform sampler2D r0;
uniform sampler2D r1;

uniform float reference;        // envelope at 0 dB
uniform float floor_db;
uniform float nyquist_m_s;
uniform float baseline_m_s;
uniform float least_power;      // R0
uniform float least_coherence;

const float DB = 6.02059991;    // 20 log10(2)

void main() {
  ivec2 at = ivec2(gl_FragCoord.xy);
  float level = max(texelFetch(envelope, at, 0).r / reference, 1e-20);
  float power = texelFetch(r0, at, 0).r;
  float coherence = power > 0.0 ? min(length(texelFetch(r1, at, 0).rg) / power, 1.0) : 0.0;
  float v = texelFetch(wrapped, at, 0).r;
  float interval = 2.0 * nyquist_m_s;
  if (baseline_m_s != 0.0) v -= interval * floor((v - baseline_m_s) / interval + 0.5);
  bool seen = texelFetch(mask, at, 0).r != 0u && power >= least_power && coherence >= least_coherence;
  shown = vec4(max(DB * log2(level), floor_db), texelFetch(velocity, at, 0).r, v, seen ? 1.0 : 0.0);
  extra = vec4(float(texelFetch(fold, at, 0).r), texelFetch(confidence, at, 0).r, coherence, 0.0);
}
