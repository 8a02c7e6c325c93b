"""Beliefs of known laws, by scipy: what `optimizer.stats.best` compares."""

from scipy import stats


class Law:
    """A frozen law of scipy as a belief."""

    def __init__(self, law):
        self.law = law
        self.density, self.below, self.quantile = law.pdf, law.cdf, law.ppf

    def draws(self, dice, count):
        return self.law.rvs(count, random_state=dice)


class Beta(Law):
    def __init__(self, a, b):
        super().__init__(stats.beta(a, b))


class Normal(Law):
    def __init__(self, mean, deviation):
        super().__init__(stats.norm(mean, deviation))
