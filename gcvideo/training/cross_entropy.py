"""Cross-entropy whose classes may count more or less."""

from jaxtyping import Float
from torch import Tensor, nn

from gcvideo.training.class_weights import ClassWeights, WeightedLoss
from gcvideo.training.losses import Target, shares


class CrossEntropy(WeightedLoss):
    """-1/B sum_bk w_k y_bk log softmax(z_b)_k, with y the share of a class: 1 of a clip's own, or as blended.

    Without class weights it is torch's. With them the mean is over the B clips, as torch's is for targets
    [B, K]; for labels torch divides by the sum of their weights instead, so that a batch, and a process,
    counts the same whatever it holds.

    Args:
        label_smoothing: s of (1 - s) y + s / K, which stands for y.
        class_weights: w: balanced, n / (K n_k) of a class that n_k of n training videos have
            (scikit-learn); effective_number (Cui et al., arXiv:1901.05555); K numbers; or numbers by class
            name, which leave the others at 1.
        beta: Of effective_number; 0 weighs all classes alike, 1 would be balanced.
    """

    is_softmax = True

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weights: ClassWeights | None = None,
        beta: float = 0.999,
    ) -> None:
        super().__init__(class_weights, beta)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing is {label_smoothing:g}; expected 0..1")
        self.label_smoothing = label_smoothing

    def forward(self, logits: Float[Tensor, "B K"], target: Target) -> Float[Tensor, ""]:
        if self.weight is None:
            return nn.functional.cross_entropy(logits, target, label_smoothing=self.label_smoothing)
        y, w = shares(target, logits.shape[1]).to(logits.dtype), self.weight.to(logits)
        return nn.functional.cross_entropy(logits, y, weight=w, label_smoothing=self.label_smoothing)
