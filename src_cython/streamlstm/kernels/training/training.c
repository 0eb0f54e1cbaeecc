/* A layer of any cell for training, one level of the instruction set; LEVEL names it, training.h says what lies where.
 *
 *   forward     z_t = x_t W_ih^T + fed_t W_hh^T + bias, in tiles that end in the gates (forward.h)
 *   backward    d_h = dy_t + m dz_(t+1) W_hh, and what goes past the products        dz_t: lstm.h, gru.h, rnn.h
 *   once a chunk of steps, while dz is in cache:
 *               dx = dz W_ih        dW_ih = sum dz^T x        dW_hh = sum dz^T fed
 *
 *   projection          h_t = (o tanh(c_t)) W_hr^T      d_m = d_h W_hr         dW_hr = sum d_h^T (o tanh(c))
 *   gru_reset_before    z_n gets (r fed) W_n^T          d_reset = dn W_n       dW_n = sum dn^T (r fed)
 */
#include "training.h"

#include "backward.h"
#include "forward.h"
#include "levels/denormals.h"

/* A gradient that fades away is denormal, and would be a hundred times slower. */
static void run_forward(const layer_pass *p)
{
    const unsigned int control = flush_denormals();
    forward(p);
    restore_denormals(control);
}

static void run_backward(const layer_pass *p)
{
    const unsigned int control = flush_denormals();
    backward(p);
    restore_denormals(control);
}

void LEVEL_NAME(adamw_)(ptrdiff_t n, float *w, const float *gradient, float *first, float *second,
                        const adamw_rates *rates);

const training_path LEVEL_NAME(training_) = {W, kept, scratch_size, run_forward, run_backward, LEVEL_NAME(adamw_)};
