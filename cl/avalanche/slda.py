"""The adapter for Avalanche's StreamingLDA, which trains no model: memoised features in, class statistics out."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.utils.data import TensorDataset

from cl.avalanche.adapter import EVAL_BATCH, experience
from cl.avalanche.lib import EvaluationPlugin, StreamingLDA, quiet
from cl.avalanche.meter import Meter
from cl.protocol import SETTINGS
from cl.strategy import Inputs, Strategy
from cl.stream import StreamInfo, View
from cl.training import state


class AnalysisStrategy(Strategy):
    """StreamingLDA on the features of the frozen backbone; options: shrinkage, streaming_sigma, batch_size."""

    resumes: ClassVar[str] = "task"
    settings: ClassVar[tuple[str, ...]] = SETTINGS

    _STATE = ("muK", "cK", "Sigma", "Lambda", "num_updates", "prev_num_updates")

    def setup(self, info: StreamInfo) -> None:
        self.seen = 0
        self.statistics: dict[str, Any] = {}
        self.statistics = {name: getattr(self._analysis(), name) for name in self._STATE}

    def learn(self, view: View) -> None:
        self.compute("avalanche", lambda: self._learn(view), count=False)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        analysis = self._analysis()
        return analysis.predict(inputs.encode(self.backbone).to(analysis.muK.dtype))[:, : self.seen]

    def _learn(self, view: View) -> None:
        features, labels = self.encode(view.train).cpu(), view.train.labels
        with quiet(), Meter(self.trainer, nn.Identity()) as meter:
            analysis = self._analysis(meter)
            analysis.train(experience(TensorDataset(features, labels), labels, view, self.info), eval_streams=[])
            analysis.predict(features[:1].to(self.device))  # inverts the last covariance
        self.seen = max(self.seen, max(view.seen) + 1)
        self.statistics = {name: getattr(analysis, name) for name in self._STATE}

    def _analysis(self, *plugins: Any) -> StreamingLDA:
        """Avalanche's object for memoised features, with the statistics learned so far."""
        o = self.options
        with quiet():
            analysis = StreamingLDA(
                slda_model=nn.Identity(),
                criterion=nn.CrossEntropyLoss(),
                input_size=self.backbone.dim,
                num_classes=self.info.n_classes,
                shrinkage_param=o.shrinkage,
                streaming_update_sigma=o.streaming_sigma,
                train_mb_size=o.batch_size,
                eval_mb_size=EVAL_BATCH,
                device=self.device,
                plugins=list(plugins),
                evaluator=EvaluationPlugin(),
            )
        for name, value in state.clone(self.statistics).items():
            setattr(analysis, name, value)
        return analysis
