"""What is assumed of blood and of the circulation: every constant with its unit and its source.

A constant here is either the default of a declared parameter or the spread of one (then it is named ``..._SD``).
Inside the flow model everything is mmHg, ml and s; lengths are mm.
"""

from __future__ import annotations

PA_PER_MMHG = 133.322
"""Pascal in one conventional millimetre of mercury (BIPM, SI brochure, 8th edition, table 8)."""

VISCOSITY_PA_S = 0.0035
"""Dynamic viscosity of blood at the shear rates of large arteries, Newtonian.

Hund, Kameneva and Antaki, Fluids 2:10 (2017): the nominal value in use.  McDonald's arteries are wide enough for the
asymptotic viscosity: Taylor, Phys Med Biol 3:273 (1959), at most 2 % in flow for vessels above 0.5 mm.
"""

DENSITY_KG_M3 = 1060.0
"""Density of whole blood, the value in use (Cutnell and Johnson, Physics, 4th edition, table 11.1).

Measured at 37 degC: 1051 (1048-1054) kg/m3 (Trudnowski and Rico, Clin Chem 20:615 (1974)); 0.9 % of an expansion loss.
"""

VENOUS_PRESSURE_MMHG = 5.0
"""Pressure behind the microvasculature.

A central venous pressure of 5-10 mmHg is the rule (Poullis, Heart 82:644 (1999)).
"""

MEAN_PRESSURE_FRACTION = 0.4
"""Mean arterial pressure above the diastolic one, as a fraction of the pulse pressure.

Bos et al., J Hypertens 25:751 (2007): 39.5 +- 2.5 % intra-arterially, in all 57 subjects above the traditional third.
"""

ASSUMED_SYSTOLIC_MMHG = 134.0
ASSUMED_DIASTOLIC_MMHG = 76.0
"""Blood pressure where none was measured: the mean of 26 patients catheterised for chest pain.

Cox et al., J Clin Invest 84:592 (1989), with standard errors of 4.3 and 1.9 mmHg.
"""

ASSUMED_HEART_RATE_PER_MIN = 63.0
"""Heart rate where none was measured: the mean at rest of 90 patients before coronary CT, 62.8 +- 8.9 per minute.

Study of heart rate during cardiac CT (ctisus.com/learning/journalclub/231294).  It acts on the Womersley number alone.
"""

LARGEST_WOMERSLEY_NUMBER = 10.0
"""Above it blood moves as a plug that inertia drives, and a steady profile stands for nothing (own bound).

By Womersley's solution for a rigid tube (J Physiol 127:553 (1955)) the resistance of the mean flow is Poiseuille's whatever
the number is; only the losses with the square of flow feel the pulse.
"""

MEASURED_PRESSURE_SD_MMHG = 5.3
"""Spread of the mean pressure computed from a cuff reading about the intra-arterial mean (Bos et al. 2007, study A)."""

ASSUMED_PRESSURE_SD_MMHG = 14.0
"""Spread of the mean pressure between patients: 0.4 x 22 and 0.6 x 9.7 mmHg, fully correlated (the SDs of Cox et al. 1989)."""

RESTING_FLOW_ML_MIN_G = 1.0
"""Resting myocardial blood flow at the reference mass (Seiler, Swiss Med Wkly 145:w14143 (2015), glossary)."""

REFERENCE_LV_MASS_G = 100.0
"""LV mass at which resting flow is ``RESTING_FLOW_ML_MIN_G`` per gram, so that Q = 3.16 M^0.75 ml/min with M in g."""

MASS_EXPONENT = 0.75
"""Flow grows with this power of the myocardial mass (Choy and Kassab, J Appl Physiol 104:1281 (2008))."""

RESTING_FLOW_SD = 0.20
"""Relative spread of resting flow per gram between people with risk factors.

Sdringola et al., JACC Cardiovasc Imaging 4:402 (2011): 0.69 +- 0.14 ml/min/g.
"""

HYPERAEMIC_RESISTANCE_FACTOR = 0.24
"""Resistance at maximal hyperaemia over resistance at rest, applied to the microvascular part.

Wilson et al., Circulation 82:1595 (1990), intravenous adenosine.  A second laboratory found 0.26 +- 0.09 for
adenosine and 0.25 +- 0.06 for papaverine in non-stenotic arteries: Rossen et al., J Am Coll Cardiol 18:485 (1991).
"""

HYPERAEMIC_RESISTANCE_SD = 0.22
"""Relative spread of the hyperaemic response between people with risk factors.

Sdringola et al. 2011: flow reserve 3.91 +- 0.86; Corban et al., EuroIntervention 16:1079 (2021): interquartile
ranges of 2.4-3.2 and 2.7-3.6 in 1683 patients without obstruction are the same relative spread.
"""

REST_RESPONSE_CORRELATION = 0.40
"""Correlation of the logarithms of resting flow and resistance factor: who flows much at rest dilates less.

Solved from the spreads of Sdringola et al. 2011: rest 20 %, reserve 22 %, stress flow 2.63 +- 0.61 ml/min/g (23 %):
0.23^2 = 0.20^2 + 0.22^2 - 2 rho 0.20 x 0.22.
"""

FLOW_SPLIT_EXPONENT = 7 / 3
"""At a bifurcation flow divides as this power of the daughters' healthy radii.

Huo and Kassab, Biophys J 96:347 (2009), from minimum energy.  Measured in people: 2.27 (Doriot's velocities, van der
Giessen et al., J Biomech 44:1089 (2011)) and 2.38 for the microvascular resistance (Taylor et al., Front Physiol
13:871912 (2022)).  Murray's 3 underestimates side branches.
"""

FLOW_SPLIT_EXPONENT_SD = 0.25
"""Spread of the exponent: from 2.15 (Taylor et al. 2022, flow) to about 2.8 covers the values in use."""

LV_MASS_INDEX_G_M2 = {"M": 78.5, "F": 65.0}
"""Mean LV mass over body surface area by sex on 64-row CT (Budoff et al., Acad Radiol 16:726 (2009))."""

LV_MASS_INDEX_SD = 0.15
"""Relative spread of the LV mass index (Budoff et al. 2009: 11.9 of 78.5 g/m2)."""

BODY_SURFACE_M2 = 1.75
"""Body surface area where height or weight is not known (Kang et al., Korean J Radiol 18:664 (2017): 1.75 +- 0.2 m2)."""

BODY_SURFACE_SD = 0.11
"""Relative spread of the body surface area (Kang et al. 2017)."""

LV_MASS_RANGE_G = (40.0, 400.0)
"""A segmented LV mass outside this range is not believed.

The Copenhagen 97.5th percentile of 80 g/m2 (Fuchs et al., Eur Heart J Cardiovasc Imaging 17:1009 (2016)) in a large
man, doubled for hypertrophy; half the mean index in a small woman.
"""

TURBULENT_REYNOLDS_NUMBER = 2040.0
"""Above this even a straight tube sustains turbulence, and a laminar loss model says nothing.

Avila et al., Science 333:192 (2011).  Behind a stenosis the jet becomes transitional much earlier; the axisymmetric
reference that the loss model is held against ends at a throat Reynolds number of 730 (docs/coronary.md).
"""
