// Rectangles, lines and letters in pixels from the top left corner.
layout(location = 0) in vec2 position_px;
layout(location = 1) in vec2 place;  // in the atlas, texels
layout(location = 2) in vec4 ink_in;

uniform vec2 target_px;

out vec2 texel;
out vec4 ink;

void main() {
  texel = place;
  ink = ink_in;
  gl_Position = vec4(2.0 * position_px.x / target_px.x - 1.0, 1.0 - 2.0 * position_px.y / target_px.y, 0.0, 1.0);
}
