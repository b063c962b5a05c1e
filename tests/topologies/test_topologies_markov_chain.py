"""Forward, Viterbi and emissions against enumeration of all paths, hmmlearn and scipy."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hmmlearn.hmm import CategoricalHMM, GaussianHMM
from scipy.stats import multivariate_normal

from lit_seq.topologies.emissions import DEVIATION_FLOOR, Categorical, Gaussian
from lit_seq.topologies.markov_chain import MarkovChain, forward, viterbi

STATES, STEPS, BATCH = 3, 6, 4

pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture
def chain():
    torch.manual_seed(0)
    chain = MarkovChain(STATES)
    torch.nn.init.normal_(chain.initial_logits)
    return chain


def gaussian(values):
    torch.manual_seed(1)
    emissions = Gaussian(STATES, values)
    torch.nn.init.normal_(emissions.log_deviations)
    torch.nn.init.normal_(emissions.shears)
    return emissions


@torch.no_grad()
def test_forward_and_viterbi_are_a_sum_and_a_maximum_over_all_paths(chain):
    emissions = torch.randn(STEPS, BATCH, STATES)
    initial, transition = chain.initial(BATCH), chain.transition()
    ahead, likelihoods = forward(initial, transition, emissions)
    paths = viterbi(initial, transition, emissions)
    for row in range(BATCH):
        joint = {
            path: initial[row, path[0]].log()
            + sum(transition[i, j].log() for i, j in pairwise(path))
            + sum(emissions[t, row, state] for t, state in enumerate(path))
            for path in product(range(STATES), repeat=STEPS)
        }
        total = torch.logsumexp(torch.stack(list(joint.values())), 0)
        torch.testing.assert_close(likelihoods[:, row].sum(), total, rtol=1e-12, atol=0)
        assert tuple(paths[:, row].tolist()) == max(joint, key=joint.__getitem__)
        last = torch.stack(
            [sum(p.exp() for path, p in joint.items() if path[-1] == k) for k in range(STATES)]
        )
        torch.testing.assert_close(ahead[-1, row], last / total.exp() @ transition, rtol=1e-12, atol=0)


@torch.no_grad()
def test_equals_hmmlearn(chain):
    steps, values, symbols = 200, 2, 5
    seen = {"gaussian": torch.randn(steps, 1, values), "categorical": torch.randint(symbols, (steps, 1))}
    ours = {"gaussian": gaussian(values), "categorical": Categorical(STATES, symbols)}
    reference = {"gaussian": GaussianHMM(STATES, "full"), "categorical": CategoricalHMM(STATES)}
    reference["gaussian"].means_ = ours["gaussian"].means.numpy()
    reference["gaussian"].covars_ = ours["gaussian"].covariances().numpy()
    reference["categorical"].n_features = symbols
    reference["categorical"].emissionprob_ = ours["categorical"].probabilities().numpy()
    for kind, model in reference.items():
        model.startprob_, model.transmat_ = chain.initial(1)[0].numpy(), chain.transition().numpy()
        emissions = ours[kind].log_probabilities(seen[kind])
        series = seen[kind][:, 0].reshape(steps, -1).numpy()
        likelihoods = forward(chain.initial(1), chain.transition(), emissions)[1]
        assert likelihoods.sum().item() == pytest.approx(model.score(series), rel=1e-6)
        paths = viterbi(chain.initial(1), chain.transition(), emissions)
        assert paths[:, 0].tolist() == model.predict(series).tolist()


@torch.no_grad()
@pytest.mark.parametrize("values", [1, 3])
def test_gaussian_densities_equal_scipy(values):
    emissions = gaussian(values)
    seen = torch.randn(10, values)
    found = emissions.log_probabilities(seen)
    for state in range(STATES):
        wanted = multivariate_normal(emissions.means[state], emissions.covariances()[state]).logpdf(seen)
        np.testing.assert_allclose(found[:, state], wanted, rtol=1e-8)


@torch.no_grad()
def test_a_state_that_explains_a_step_exactly_has_a_bounded_density():
    emissions = Gaussian(1, 1)
    emissions.log_deviations.fill_(-1000.0)
    densest = emissions.log_probabilities(emissions.means)
    assert densest.item() == pytest.approx(-np.log(DEVIATION_FLOOR * np.sqrt(2 * np.pi)))


def test_nothing_underflows_in_float32():
    torch.set_default_dtype(torch.float32)
    chain = MarkovChain(2)
    # each step's density is below e^-80000, and that of the other state e^-300 of it
    emissions = -80000 + torch.tensor([[0.0, -300.0], [-300.0, 0.0]]).repeat(250, 1).unsqueeze(1)
    likelihoods = forward(chain.initial(1), chain.transition(), emissions)[1]
    likelihoods.mean().backward()
    transition = chain.transition()
    wanted = [-80000 + transition[i, j].log().item() for i, j in ((0, 1), (1, 0))]
    torch.testing.assert_close(likelihoods[1:3, 0], torch.tensor(wanted), rtol=0, atol=0.01)
    assert chain.transition_logits.grad.isfinite().all()
