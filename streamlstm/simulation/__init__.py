"""A simulated ward and pump hall with known faults, and a real ECG, for the demo."""

from streamlstm.simulation.pumps import simulate_pumps
from streamlstm.simulation.recording import load_ecg_excerpt
from streamlstm.simulation.telemetry import Fault, Telemetry
from streamlstm.simulation.ward import simulate_ecg, simulate_vitals

__all__ = ["Fault", "Telemetry", "load_ecg_excerpt", "simulate_ecg", "simulate_pumps", "simulate_vitals"]
