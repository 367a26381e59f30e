"""The paper's image tasks on the same blocks: classification, detection, dense prediction."""
