// A rectangle of the target in pixels from its top left corner, and the millimetres it stands for.
layout(location = 0) in vec2 corner_px;
layout(location = 1) in vec2 corner_m;

uniform vec2 target_px;

out vec2 position_m;  // x, z

void main() {
  position_m = corner_m;
  gl_Position = vec4(2.0 * corner_px.x / target_px.x - 1.0, 1.0 - 2.0 * corner_px.y / target_px.y, 0.0, 1.0);
}
