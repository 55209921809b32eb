"""Few pulses with the defaults: little may be shown, but what is shown must be right."""

import numpy as np
import pytest

from trueflow.pipeline import ColorFlow, Config, Framing, open_source, packets


@pytest.mark.parametrize("n_pulses", [3, 4, 5, 6])
def test_few_pulses_show_no_noise_and_few_wrong_folds(n_pulses):
    url = f"sim://femoral?peak=2.5vN&pulses={n_pulses}&frames=8&mode=fast&seed=5&bandwidth=0.3&snr=12"
    n_wrong = n_flow = n_other = 0
    with open_source(url) as recording:
        acquisition, _, stream = packets(recording, Framing(ensemble=n_pulses))
        flow = ColorFlow(acquisition, Config(), grid=recording.grid)
        for packet in stream:
            shown = flow(packet).velocity
            first = packet.stamp.index * n_pulses
            truth = recording.truth(first, first + n_pulses, flow.grid)
            both = shown.mask & truth.mask
            step_m_s = 2 * shown.nyquist_velocity_m_s
            fold = np.rint((truth.velocity_m_s - shown.wrapped_velocity_m_s) / step_m_s)
            n_wrong += np.count_nonzero(both & (fold != shown.fold))
            n_flow += np.count_nonzero(both)
            n_other += np.count_nonzero(shown.mask & ~truth.mask)
    assert n_flow > 3000
    assert n_wrong < 0.05 * n_flow  # 35 % with a straight line taken out of four pulses
    assert n_other < 0.03 * n_flow
