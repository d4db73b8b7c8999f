"""What a run needs before it is started: compute, memory, time and money, by formulas alone.

The formulas, their assumptions and how they were checked are in docs/scaling.md.
"""

from keras_bert_zoo.estimate.devices import DEVICES, Device
from keras_bert_zoo.estimate.run import Estimate, Run, estimate, find_device
from keras_bert_zoo.estimate.sizes import SIZES, find_config

__all__ = ["DEVICES", "SIZES", "Device", "Estimate", "Run", "estimate", "find_config", "find_device"]
