// The image of one panel. Defines: POLAR, LOOKUP (axes with uneven steps), MODE, VARIANCE.
#define GRAY 0
#define RAW 1
#define FOLDS 2
#define DEALIASED 3

in vec2 position_m;
out vec4 color;

uniform sampler2D shown;    // see maps.frag
uniform sampler2D extra;
uniform sampler2D colors;   // rows: rest to full variance; columns: full scale away, rest, full scale towards
uniform sampler2D places;   // LOOKUP: place on axis 0 (row 0) and axis 1 (row 1), evenly over their range

uniform vec2 grid_size;     // columns, rows
uniform vec2 axis_start;    // of axis 1, axis 0: m, or rad and m
uniform vec2 axis_rate;     // pixels per m or rad
uniform float apex_z_m;
uniform float gain_db;
uniform float range_db;
uniform float low_m_s;
uniform float high_m_s;
uniform float nyquist_m_s;
uniform float priority;     // brighter echoes than this keep their gray
uniform int confidence;     // 1: mark what is doubtful
uniform vec4 box_m;         // color only inside: x, z of two corners

const vec3 FOLD_INKS[4] = vec3[4](
  vec3(150.0, 110.0, 255.0) / 255.0, vec3(64.0, 224.0, 190.0) / 255.0,
  vec3(255.0, 214.0, 64.0) / 255.0, vec3(255.0, 122.0, 0.0) / 255.0);
const vec3 PLAIN_INK = vec3(150.0, 165.0, 190.0) / 255.0;
const float PLAIN_SHARE = 0.35;
const float DOUBT = 0.5;    // confidence below which color is hatched
const float HATCH_PX = 6.0;

vec2 grid_place() {  // column, row; fractional, from 0
#if POLAR
  vec2 from_apex = vec2(position_m.x, position_m.y - apex_z_m);
  vec2 along = vec2(atan(from_apex.x, from_apex.y), length(from_apex));
#else
  vec2 along = position_m;
#endif
  vec2 place = (along - axis_start) * axis_rate;
#if LOOKUP
  vec2 range = grid_size - 1.0;
  vec2 rest = place - clamp(place, vec2(0.0), range);
  vec2 at = (clamp(place / range, 0.0, 1.0) * (float(LOOKUP) - 1.0) + 0.5) / float(LOOKUP);
  place = vec2(texture(places, vec2(at.x, 0.75)).r, texture(places, vec2(at.y, 0.25)).r) + rest;
#endif
  return place;
}

#if MODE != GRAY
// Neighbours without flow have no say. Nor have those that differ from the nearest one by more than v_N: blending
// across a fold would draw a seam of velocities that nothing has.
bool flow_at(vec2 place, out float value, out vec4 beside) {
  vec2 lower = min(floor(place), grid_size - 2.0);
  vec2 f = place - lower;
  ivec2 at = ivec2(lower);
  vec4 a = texelFetch(shown, at, 0), b = texelFetch(shown, at + ivec2(1, 0), 0);
  vec4 c = texelFetch(shown, at + ivec2(0, 1), 0), d = texelFetch(shown, at + ivec2(1, 1), 0);
  vec4 weight = vec4((1.0 - f.x) * (1.0 - f.y), f.x * (1.0 - f.y), (1.0 - f.x) * f.y, f.x * f.y);
  weight *= vec4(a.a, b.a, c.a, d.a);
  bool flow = dot(weight, vec4(1.0)) >= 0.5;
  float heaviest = max(max(weight.x, weight.y), max(weight.z, weight.w));
  vec4 first = weight.x == heaviest ? vec4(1, 0, 0, 0) : weight.y == heaviest ? vec4(0, 1, 0, 0)
             : weight.z == heaviest ? vec4(0, 0, 1, 0) : vec4(0, 0, 0, 1);
#if MODE == FOLDS
  beside = first.x * texelFetch(extra, at, 0) + first.y * texelFetch(extra, at + ivec2(1, 0), 0)
         + first.z * texelFetch(extra, at + ivec2(0, 1), 0) + first.w * texelFetch(extra, at + ivec2(1, 1), 0);
  value = beside.r;
#else
#if MODE == RAW
  vec4 v = vec4(a.b, b.b, c.b, d.b);
#else
  vec4 v = vec4(a.g, b.g, c.g, d.g);
#endif
  weight *= step(abs(v - dot(first, v)), vec4(nyquist_m_s));
  value = dot(weight, v) / max(dot(weight, vec4(1.0)), 1e-6);
  beside = texture(extra, (place + 0.5) / grid_size);
#endif
  return flow;
}

vec3 flow_color(float value, vec4 beside, float shade) {
#if MODE == FOLDS
  int fold = int(clamp(value, -2.0, 2.0));
  return fold == 0 ? mix(vec3(shade), PLAIN_INK, PLAIN_SHARE) : FOLD_INKS[fold < 0 ? fold + 2 : fold + 1];
#else
  float fraction = value < 0.0 ? -value / low_m_s : value / high_m_s;
  float entry = floor(128.5 + 128.0 * clamp(fraction, -1.0, 1.0));
#if VARIANCE
  float row = (1.0 - beside.b) * (float(VARIANCE) - 1.0);
#else
  float row = 0.0;
#endif
  return texelFetch(colors, ivec2(int(entry), int(row + 0.5)), 0).rgb;
#endif
}
#endif

void main() {
  vec2 place = grid_place();
  vec2 last = grid_size - 1.0;
  bool inside = all(greaterThanEqual(place, vec2(-0.5))) && all(lessThanEqual(place, last + 0.5));
  place = clamp(place, vec2(0.0), last);
  float level = texture(shown, (place + 0.5) / grid_size).r;
  float shade = clamp(1.0 + (level + gain_db) / range_db, 0.0, 1.0);
  vec3 pixel = vec3(floor(255.0 * shade) / 255.0);
#if MODE != GRAY
  float value;
  vec4 beside;
  bool flow = flow_at(place, value, beside) && shade <= priority
    && all(greaterThanEqual(position_m, box_m.xy)) && all(lessThanEqual(position_m, box_m.zw));
  vec3 tint = flow_color(value, beside, shade);
#if MODE != RAW
  if (confidence == 1 && beside.g < DOUBT) {
    bool line = mod(gl_FragCoord.x + gl_FragCoord.y, HATCH_PX) < 2.0;
    tint = line ? vec3(0.0) : mix(tint, vec3(dot(tint, vec3(0.3, 0.59, 0.11))), 0.6);
  }
#endif
  if (flow) pixel = tint;
#endif
  color = vec4(inside ? pixel : vec3(0.0), 1.0);
}
