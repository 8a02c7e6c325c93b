"""The conditions that must hold before a trial may begin or go on: policies, money, power, exposure."""
