in vec2 texel;
in vec4 ink;
out vec4 color;

uniform sampler2D atlas;  // coverage

void main() {
  color = vec4(ink.rgb, ink.a * texelFetch(atlas, ivec2(texel), 0).r);
}
