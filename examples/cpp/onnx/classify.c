/* Says which digit an image shows, by a net in an ONNX file: classify_c NET.onnx IMAGE
 * IMAGE: the pixels, row by row, a byte each, 0 for the background. C99. */
#include <cnnx/c.h>
#include <stdio.h>
#include <stdlib.h>

static int failed(void) {
  fprintf(stderr, "classify_c: %s\n", cnnx_last_error());
  return 1;
}

int main(int count, char** arguments) {
  cnnx_net* net = NULL;
  cnnx_session* session = NULL;
  cnnx_session_options options = CNNX_SESSION_OPTIONS;
  cnnx_value input = CNNX_VALUE, output = CNNX_VALUE;
  size_t pixels, classes, best = 0, i;
  unsigned char* bytes;
  float *image, *scores;
  FILE* file;

  if (count != 3) {
    fprintf(stderr, "usage: classify_c NET.onnx IMAGE\n");
    return 2;
  }
  options.threads = 1;
  if (cnnx_load_onnx(arguments[1], &net) != CNNX_OK) return failed();
  if (cnnx_session_create(net, &options, &session) != CNNX_OK) return failed();
  cnnx_net_free(net); /* the session has what it needs */
  if (cnnx_session_input(session, 0, &input) != CNNX_OK || cnnx_session_output(session, 0, &output) != CNNX_OK) return failed();

  pixels = (size_t)input.bytes / sizeof(float);
  classes = (size_t)output.bytes / sizeof(float);
  bytes = malloc(pixels);
  image = malloc(pixels * sizeof(float));
  scores = malloc(classes * sizeof(float));
  file = fopen(arguments[2], "rb");
  if (bytes == NULL || image == NULL || scores == NULL || file == NULL || fread(bytes, 1, pixels, file) != pixels) {
    fprintf(stderr, "classify_c: cannot read %lu bytes from %s\n", (unsigned long)pixels, arguments[2]);
    return 1;
  }
  fclose(file);
  for (i = 0; i < pixels; ++i) image[i] = (float)bytes[i] / 255;

  if (cnnx_session_run(session, image, pixels, scores, classes) != CNNX_OK) return failed();
  for (i = 1; i < classes; ++i)
    if (scores[i] > scores[best]) best = i;
  printf("%lu\n", (unsigned long)best);
  free(bytes);
  free(image);
  free(scores);
  cnnx_session_free(session);
  return 0;
}
